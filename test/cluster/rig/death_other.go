//go:build !linux

package rig

import "syscall"

// dieWithParent is a promise that only Linux keeps; elsewhere a test that is
// killed leaves its processes behind.
func dieWithParent() *syscall.SysProcAttr { return nil }

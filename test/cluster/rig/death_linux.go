package rig

import "syscall"

// dieWithParent has the kernel kill the child when we die, however we do.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

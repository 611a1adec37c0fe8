// Pause holds the namespaces of a pod and starts its containers in them. It is
// started by package sandbox.
package main

import (
	"os"

	"github.com/billyronks/couchestor/test/cluster/kubelet/sandbox"
)

func main() { os.Exit(sandbox.Main(os.Args[1:], os.Stderr)) }

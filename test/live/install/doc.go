// Package install runs all kustomizations past kustomize and looks at what comes
// out: that objects fit together, that no name leads nowhere, and that the binary
// takes the configuration it is given. The package is tests only; that a real API
// server takes the objects is tested in test/cluster/install.
package install

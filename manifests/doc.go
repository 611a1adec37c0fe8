// Package manifests holds what is installed: base is CoucheStor itself, overlays
// are base for three sizes, components are what can be added, policies are samples
// to start from, clusters put all of it together, and examples hand clusters to
// Argo CD and Flux. testdata/documented are policies as users have them.
// The rest of its Go is tests: that the CRD and the Go types say the same, that
// what is installed agrees with itself and with the binary, and that the image is
// built as it should be.
package manifests

import "embed"

// Files are the manifests, for tests that run them past the real API server's
// code. A test in another module that read them from disk would be cached while
// they change.
//
//go:embed base clusters components examples overlays policies testdata
var Files embed.FS

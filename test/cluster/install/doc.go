// Package install tests that a real API server takes what is installed: each
// kustomization as a dry run and for real, each rule of admission with its
// sentence, the defaults, the columns of kubectl get, and the roles, which grant
// what they say and nothing else. The package is tests only.
//
// The kinds of Metacontroller, the Prometheus operator, cert-manager, Argo CD and
// Flux are those of testdata/kinds.yaml: the fields that are used, not upstream's
// own definitions. Metacontroller's own are taken from the file that
// METACONTROLLER_CRDS names, if it is set.
package install

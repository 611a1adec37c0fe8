// Package admission runs what is installed past the code that will judge it: the
// CRD past the API server's own validation of CRDs, policies past the structural
// schema, the defaults, the pruning and the CEL rules with their cost limits, as
// k8s.io/apiextensions-apiserver has them. The package is tests only.
//
// The libraries are those of the Kubernetes version that Prometheus, in the same
// module, is built with. It is the next minor after the one the product is built
// with; the rules used here are the same in both.
package admission

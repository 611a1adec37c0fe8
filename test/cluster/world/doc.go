// Package world tests on a real API server that the service's own view of
// Kubernetes is what the server has, through everything that can come between: an
// API server that dies, a network that is cut or goes silent, a history that the
// server has forgotten, rights that are not there, and DiskPools that appear, change
// their version and go.
package world

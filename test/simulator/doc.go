// Package simulator is a Mayastor control plane with its cluster, for tests.
package simulator

// Package kube lets the contract driver work against a real API server.
//
// [Cluster] is that server as a [driver.Cluster]: the dynamic client, discovery,
// and a list and watch of each resource. Garbage collection, admission and
// defaults are the cluster's own, so whatever package driver says it does not
// model of them is there.
//
// [Run] is the whole program: it looks for CompositeControllers and keeps a
// [driver.Driver] for each, with the calls that Metacontroller 4.17.2 makes and
// no others, so that the same role serves both. Command contractdriver is a main
// around it.
package kube

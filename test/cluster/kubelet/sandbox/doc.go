// Package sandbox gives the processes of one pod a view of their own: a network
// with nothing but a loopback interface, a host name, and for each container a
// root file system with nothing but its program and its volumes. It needs Linux,
// and either root or the right to make user namespaces; no container engine.
//
// A process inside meets the kernel's own answers: a port is taken only within
// its pod, a file is where its mount says, and a root file system that is to be
// read-only is. What it does not get is a process tree of its own, limits on
// memory and CPU, and, where we are not root, another user than root.
//
// # How it works
//
// The program pause, built from the directory of that name, holds the namespaces,
// as a pod's pause container does. It starts the containers, reports how they end,
// and is the way in and out of the network: what [Config.Reach] names is listened
// for inside and carried to a Unix socket outside, and [Sandbox.Dial] goes the
// other way. When pause dies, all die; pause dies when we do.
package sandbox

// Package watchloop runs what calls the hooks, on the control plane of package rig
// and as the service account it has in a cluster.
//
// That is Metacontroller itself where METACONTROLLER names its program, and the
// project's contract driver anywhere else. Both are started alike, as a process
// with a kubeconfig, and can be stopped, killed and started again.
//
//	err := watchloop.Install(ctx, r)         // its CRDs, its account, its rights
//	p, err := watchloop.Choose(ctx, r.Dir)   // which of the two
//	loop, err := watchloop.Start(ctx, r, p)
//	...
//	loop.Kill()
//	err = loop.Start()
//
// There is no cluster DNS beside a control plane, so what is applied has to call
// the hooks by address; [Local] makes it so.
//
// The tests of this package are the contract: what the hooks rely on, in one list
// of facts that each program has to show.
package watchloop

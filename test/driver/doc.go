// Package driver stands in for Kubernetes and Metacontroller 4.17.2 wherever
// the real ones are not at hand: in table tests, on the virtual clock of
// testing/synctest, and in the demo.
//
// [API] is an API server in memory: objects with uid, resourceVersion,
// generation, finalizers, owners and their garbage collection. [Driver] is
// Metacontroller: it watches the API, posts the hooks of one
// CompositeController over HTTP and acts on the answers as upstream does. Where
// this package names a rule "MC 3.1" it means the section of the project's
// notes on Metacontroller; each section it obeys has a test of that name.
//
// A test drives it step by step:
//
//	api := driver.NewAPI(driver.Resources()...)
//	api.Put(policy)
//	d, err := driver.New(api, driver.Options{Controller: controller})
//	sync, err := d.SyncOnce(ctx, "databases")
//
// and the demo lets it run: d.Run(ctx).
//
// The driver needs no more of an API server than [Cluster]; package kube of this
// directory lets it work against a real one, where test/cluster/watchloop holds it
// and Metacontroller itself to the same list of facts.
//
// What is not modelled: update strategies other than OnDelete, server-side
// apply, ETags, authentication of hooks but by caBundle.inline, and namespaced
// parents; a controller that asks for one of these is refused by [New]. The API in
// memory has no pruning and defaulting by a CRD schema, and no managedFields.
//
// Time is read through package time only, and over an [API] no goroutine
// outlives [Driver.Run], so that everything works inside a synctest bubble, given an
// [http.RoundTripper] that does.
package driver

// Command load puts the real program under the load of a large cluster, inside the
// memory and CPU that its Deployment gives it, and prints what it costs.
//
//	make load
//	go run ./load --volumes 10000 --mode api --for 1m
//
// What runs is `couchestor serve` as a process of its own, with the limits and the
// environment of manifests/base and of the overlay for that many volumes. Where the
// machine has cgroups that may be written to, the limits are theirs, and a process
// that exceeds them is run first to prove that they hold; elsewhere the Go runtime
// is asked to keep to them, and the table says so.
//
// Around it, outside of the limits and at lower priority:
//
//   - the simulator as Mayastor, with all volumes, answering over TCP;
//   - the real PromQL engine and TSDB. Its samples are what the exporter would have
//     shown for the load of each volume, one a minute; they are written before the
//     run, beyond its end, so that no scraping takes CPU in it;
//   - Metacontroller's part: a queue with five workers, requests as long as its own
//     with managedFields and all, children created and deleted, status written if it
//     differs. In mode "requests" every change of a related object has every policy
//     asked for, as Metacontroller does it (MC 4.3), so it asks without a pause;
//   - in mode "api" a Kubernetes API server with lists and watches, over TLS;
//   - Jobs: each runs `couchestor migrate` on the simulator, and what it records
//     becomes annotations of volume and Job, as in a cluster.
//
// Volumes are created, deleted and changed throughout, and some cross a watermark.
package main

// Command demo shows CoucheStor at work on one machine, in real time, with real
// parts wherever that is possible:
//
//	part            here                                      in a cluster
//	the service     bin/couchestor serve, a process           a Deployment
//	each move       bin/couchestor migrate, a process         a Job's pod
//	Prometheus      upstream's scraper, TSDB and PromQL       the same
//	Mayastor        the simulator of this repository          Mayastor
//	Metacontroller  the contract driver of this repository    Metacontroller
//	API server      in memory, as far as those need it        kube-apiserver
//
// It plays a story in four acts with some sixty volumes under three policies,
// prints a table whenever something changed, and then compares every scenario
// with what the simulator knows and never tells: where the data of each replica
// really is. It exits with 0 only if all of that is as it should be.
//
// The last line of stdout is one JSON object for machines.
package main

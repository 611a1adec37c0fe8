// Package soak shows that the service's memory is flat.
//
// The whole service runs on the virtual clock of testing/synctest, twice: once with
// what is related in each request, and once reading Kubernetes itself. Around it is
// a cluster in which nothing stays as it is: volumes come and go with ever new
// names, loads change so that moves never cease, Jobs are made, run, end and are
// pruned, policies come and go, Metacontroller starts anew, and Prometheus and
// Mayastor are away for minutes in each way a server can be. Each quarter of an hour
// the heap is weighed, when all is at rest, and the goroutines are counted; in the end
// a line is fitted, and its slope must be near nothing.
//
// Real are the service with all it keeps, the contract driver in Metacontroller's
// place, and the simulator in Mayastor's. Prometheus is a script, since the
// memory of the real engine would hide that of the service. The migrators are
// others' programs: they only leave what theirs would.
//
// COUCHESTOR_SOAK_HOURS is how many hours it takes, 3 if it is not set. With a day a
// leak of some 80 bytes for each new volume is found; with few hours only a gross one
// is, and with no more than the two of the warm-up, as under the race detector, none.
package soak

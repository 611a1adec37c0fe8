// Package cluster reads what the hooks need of Kubernetes, where Metacontroller is
// not to send it: --volumes-from=api.
//
// For each kind of object there is one reflector of client-go, which lists once,
// watches from there, goes on after a break where it was, and lists anew where the
// server has forgotten what came since. What it does not do is keep objects: each
// is cut down to the few fields in use while its bytes arrive, by the decoder that
// reads Metacontroller's requests, so a list is never held whole.
//
// A watch is only as good as its connection. Each kind is known to be seen as it
// is at the end of a list, at each event and bookmark, and when a watch that began
// where the last one ended stays open. A watch that is silent is ended and begun
// again, which costs one request. Once some kind was not known to be seen for
// three minutes, the view is no longer OK: it stays in use for the Jobs that run,
// and nothing new starts.
//
// Nothing in this package writes to anything. It lists and watches.
package cluster

// Package world reads what the service knows of the world and keeps it in
// memory: how busy each volume is, from Prometheus, and what the control plane
// looks like, from Mayastor.
//
// There is one reader per source. It keeps an immutable snapshot behind an
// atomic pointer together with its time and error, and it works on demand: a
// caller that finds the snapshot older than the time to live asks for one
// refresh, shares it with all other callers, and waits for it a few seconds at
// most. Nothing is read while nobody asks. A snapshot that is older than three
// times the time to live plus the time-out of a query is no data; it is still
// handed out for display, but no move may be based on it.
//
// Nothing in this package writes to anything.
package world

// Package hooks is the contract with Metacontroller: it is asked "what should
// exist?" for one StoragePolicy and answers with Jobs and a status.
//
// A request goes one way: it is decoded as a stream into the few fields in use,
// joined with what [Sources] know of Prometheus and Mayastor, handed to package
// tiering, and the decisions become Jobs. Nothing is kept between two requests
// but caches, and nothing is done but answering; two copies of the service, or
// one that was killed, change nothing.
//
// An answer with 200 is the whole truth to Metacontroller: a Job that is not in
// it is deleted, and so is a status field. Two rules follow.
//
// A Job that may still work on a volume is in every answer, whatever else is
// broken: the policy's spec, Prometheus, Mayastor, the volume itself. Where the
// request cannot be understood, the answer is not 200, and one line says why.
//
// The result of a Job is recorded exactly once. It is added to the history in
// the status, and the Job stays until a request's own status shows it there.
// Caches may be old: the same view gives the same bytes, and so the same names
// of Jobs, which exist already.
//
// Where a doc comment names MC or MS, it is the facts about Metacontroller or
// Mayastor that the design rests on.
package hooks

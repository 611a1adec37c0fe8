// Package tiering decides which volumes belong on which tier, and says why.
//
// It is a pure function: [Decide] takes one [Input] (a compiled policy and its
// rivals, volumes with scores and memories, pools, nodes, the time) and returns
// one [Plan]. Nothing here reads a clock, a file, a network or a global; the
// same input, in any order, gives the same plan, and the same plan gives the
// same status.
//
// Three rules stand above all others.
//
// No data never moves data. A [Sample] is unknown until [NewSample] took its
// numbers, and the zero value of everything that could speak for a move speaks
// against it.
//
// A move has to pass every [Gate], in one documented order. The first that does
// not pass holds the volume; its [Verdict] says what it saw, what it asks for
// and when it opens. Explain, status, dry run and audit print the same verdict.
//
// What an earlier attempt left behind is cleaned up in every mode: an attempt
// that started and that no Job works on any more is answered with
// [Recover], whatever the gates say.
//
// A round looks like this:
//
//	policy, faults := tiering.Compile(name, generation, created, spec)
//	if len(faults) > 0 {
//		// Decide still finds what such a policy has to recover.
//		status = tiering.ErrorStatus(previous, now, generation, faults)
//	}
//	tiering.Record(&previous, results...)
//	plan := tiering.Decide(tiering.Input{Now: now, Policy: policy, ...})
//	for i := range plan.Decisions {
//		// Move and Recover want a Job, Moving has one.
//	}
//	status = plan.Status(previous)
//	again := plan.NextLook(now)
package tiering

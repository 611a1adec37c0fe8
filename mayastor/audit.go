package mayastor

import (
	"context"
	"time"
)

// The actions of the audit trail: every record that a migrator writes carries
// one of them as "action".
const (
	ActionStarted     = "move_started"
	ActionResumed     = "move_resumed"
	ActionWaiting     = "move_waiting"
	ActionAdd         = "replica_add"
	ActionRemove      = "replica_remove"
	ActionUndo        = "replica_undo"
	ActionStepDone    = "step_completed"
	ActionSwept       = "cordons_swept"
	ActionCompleted   = "move_completed"
	ActionFailed      = "move_failed"
	ActionAborted     = "move_aborted"
	ActionRefused     = "move_refused"
	ActionRecovered   = "move_recovered"
	ActionInterrupted = "move_interrupted"
)

// explain writes why the migrator waits, once for each reason.
func (r *run) explain(ctx context.Context, why string) {
	if why != r.last {
		r.last = why
		r.log.DebugContext(ctx, "wait", "action", ActionWaiting, "phase", string(r.j.Phase), "reason", why)
	}
}

// complain writes that the volume cannot be read, once for each reason and
// again every few minutes: whoever waits should know for what.
func (r *run) complain(ctx context.Context, err error) {
	now := time.Now()
	if why := err.Error(); why != r.complaint || now.Sub(r.complained) >= complainEvery {
		r.complaint, r.complained = why, now
		r.log.WarnContext(ctx, "the volume cannot be read", "action", ActionWaiting, "phase", string(r.j.Phase), "error", why)
	}
}

// phaseChanged writes what a look at the volume showed to be over.
func (r *run) phaseChanged(ctx context.Context, from Phase, v view) {
	if (from == PhaseDown || from == PhaseRestore) && r.j.Phase == PhaseIdle {
		left, reached := r.changes(v.vol)
		r.log.InfoContext(ctx, "a step is over", "action", ActionStepDone, "from_pool", pools(left), "to_pool", pools(reached), "replicas_done", r.j.Finished)
	}
}

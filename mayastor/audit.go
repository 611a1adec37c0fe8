package mayastor

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"time"
)

// The actions of the audit trail: every record that a migrator writes carries
// one of them as "action". [AuditActions] says what each means.
const (
	ActionStarted     = "move_started"
	ActionResumed     = "move_resumed"
	ActionAdmitted    = "move_admitted"
	ActionWaiting     = "move_waiting"
	ActionStopSeen    = "stop_seen"
	ActionCordon      = "cordon_set"
	ActionUncordon    = "cordon_lifted"
	ActionSweep       = "cordons_swept"
	ActionAdd         = "replica_add"
	ActionRemove      = "replica_remove"
	ActionUndo        = "replica_undo"
	ActionStepDone    = "step_completed"
	ActionCompleted   = "move_completed"
	ActionFailed      = "move_failed"
	ActionAborted     = "move_aborted"
	ActionRefused     = "move_refused"
	ActionRecovered   = "move_recovered"
	ActionInterrupted = "move_interrupted"
	ActionUntold      = "event_lost"
)

// AuditAction is one row of the table of actions.
type AuditAction struct {
	Action string
	// Outcome is what its records carry as "outcome"; where it is "" each record
	// carries the state in which the move ended.
	Outcome string
	// Level of its records, but for a wait that is out of the ordinary, which is
	// a warning.
	Level slog.Level
	// Meaning says when it is written, and which keys it has beside those of
	// every record.
	Meaning string
}

// AuditActions is every action there is, in the order of a move's life. A record
// is one JSON object on a line. Each has timestamp, level, message, action,
// outcome, actor, volume (the PersistentVolume) and volume_uuid; from the moment
// the attempt has its number also move (the name of its Job), attempt and
// policy, and from_tier, to_tier and trigger_iops where they are known. The id
// in move joins all records of one move.
func AuditActions() []AuditAction {
	return []AuditAction{
		{ActionStarted, "started", slog.LevelInfo, "the attempt is marked on the volume: replicas (that have to move), bytes, capability"},
		{ActionResumed, "resumed", slog.LevelInfo, "another pod goes on from the journal, or brings to rest what an earlier attempt left: phase, left_by"},
		{ActionAdmitted, "admitted", slog.LevelInfo, "the move has its place among those that run, within every cap: bytes"},
		{ActionWaiting, "waiting", slog.LevelInfo, "something is waited for: reason or error, cap where a cap is reached"},
		{ActionStopSeen, "stopping", slog.LevelInfo, "a signal, the policy or the governance of the cluster tells the move to stop: reason names the switch, error is the sentence"},
		{ActionCordon, "set", slog.LevelInfo, "a pool or node is cordoned for the seconds of one call: pool or node"},
		{ActionUncordon, "lifted", slog.LevelInfo, "that cordon is lifted: pool or node"},
		{ActionSweep, "sweeping", slog.LevelInfo, "cordons that a dead migrator left are about to be lifted: pools, nodes"},
		{ActionAdd, "asked", slog.LevelInfo, "num_replicas is raised by one: from_pool, landing (pools it may land on), kept_out (pools cordoned meanwhile)"},
		{ActionRemove, "asked", slog.LevelInfo, "num_replicas is lowered by one to give up the replica on from_pool; to_pool holds the new one"},
		{ActionUndo, "asked", slog.LevelInfo, "num_replicas is lowered by one to take back the replica on to_pool, which is not in sync: reason"},
		{ActionStepDone, "completed", slog.LevelInfo, "one replica changed pool: from_pool, to_pool, duration_ms, replicas_done"},
		{ActionCompleted, string(Moved), slog.LevelInfo, "last record: the move reached its pools: from_pool, to_pool, replicas, duration_ms"},
		{ActionFailed, string(Failed), slog.LevelInfo, "last record: it did not: reason, error and those of move_completed"},
		{ActionAborted, string(Aborted), slog.LevelInfo, "last record: it was stopped at a safe place: as move_failed, and stop_to_safe_ms, the time from stop_seen"},
		{ActionRefused, string(Refused), slog.LevelInfo, "last record: nothing of the volume was touched: reason, error"},
		{ActionRecovered, "", slog.LevelInfo, "last record: what another attempt left is at rest: as move_failed"},
		{ActionUntold, "lost", slog.LevelWarn, "an event for kubectl describe could not be written: error"},
		{ActionInterrupted, "interrupted", slog.LevelError, "the process ends without a result, and the next one goes on: error"},
	}
}

// NewAuditLog writes one JSON object a line with the keys of the audit trail.
func NewAuditLog(w io.Writer, level slog.Level) *slog.Logger {
	keys := map[string]string{slog.TimeKey: "timestamp", slog.MessageKey: "message", slog.LevelKey: "level"}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if key, ok := keys[a.Key]; ok && len(groups) == 0 {
				a.Key = key
			}
			return a
		},
	}))
}

// say writes one record of the action.
func (r *run) say(ctx context.Context, action, message string, attrs ...any) {
	all := AuditActions()
	row := all[slices.IndexFunc(all, func(a AuditAction) bool { return a.Action == action })]
	r.record(ctx, row.Level, action, row.Outcome, message, attrs)
}

// warn writes that something out of the ordinary is waited for.
func (r *run) warn(ctx context.Context, message string, attrs ...any) {
	r.record(ctx, slog.LevelWarn, ActionWaiting, "waiting", message, attrs)
}

func (r *run) record(ctx context.Context, level slog.Level, action, outcome, message string, attrs []any) {
	head := []any{"action", action}
	if outcome != "" {
		head = append(head, "outcome", outcome)
	}
	r.log.Log(ctx, level, message, append(head, attrs...)...) //nolint:sloglint // the messages are constants of the callers
}

// sayEnd writes the last record of a move.
func (r *run) sayEnd(ctx context.Context, result Result) {
	action := lastAction(result)
	attrs := []any{"reason", result.Reason, "error", result.Error}
	if action == ActionRecovered {
		attrs = append(attrs, "outcome", string(result.State))
	}
	if result.Reason == "" {
		attrs = attrs[4:]
	}
	attrs = append(attrs, "from_pool", result.FromPools, "to_pool", result.ToPools, "replicas", result.Replicas,
		"duration_ms", elapsed(result.Started, result.Ended).Milliseconds())
	if e := r.j.Ending; e != nil && !e.Seen.IsZero() {
		attrs = append(attrs, "stop_to_safe_ms", elapsed(e.Seen, result.Ended).Milliseconds())
	}
	r.say(ctx, action, "move ended", attrs...)
}

// lastAction is the action of a move's last record.
func lastAction(r Result) string {
	if r.Recovered {
		return ActionRecovered
	}
	return map[State]string{Moved: ActionCompleted, Failed: ActionFailed, Aborted: ActionAborted, Refused: ActionRefused}[r.State]
}

// elapsed is the time between two instants that two clocks may have told.
func elapsed(from, to time.Time) time.Duration { return max(0, to.Sub(from)) }

// explain writes why the migrator waits, once for each reason.
func (r *run) explain(ctx context.Context, why string) {
	if why != r.last {
		r.last = why
		r.record(ctx, slog.LevelDebug, ActionWaiting, "waiting", "wait", []any{"phase", string(r.j.Phase), "reason", why})
	}
}

// complain writes that the volume cannot be read, once for each reason and
// again every few minutes: whoever waits should know for what.
func (r *run) complain(ctx context.Context, err error) {
	now := time.Now()
	if why := err.Error(); why != r.complaint || now.Sub(r.complained) >= complainEvery {
		r.complaint, r.complained = why, now
		r.warn(ctx, "the volume cannot be read", "phase", string(r.j.Phase), "error", why)
	}
}

// stepOver writes that a replica changed pool, which a look at the volume
// showed; was is the journal before it.
func (r *run) stepOver(ctx context.Context, was *Journal) {
	if r.j.Finished == was.Finished {
		return
	}
	r.say(ctx, ActionStepDone, "a step is over", "from_pool", was.Victim.Pool, "to_pool", was.New.Pool,
		"duration_ms", elapsed(was.StepStarted, time.Now()).Milliseconds(), "replicas_done", r.j.Finished)
}

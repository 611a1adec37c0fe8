package hooks

import (
	"context"
	"log/slog"
	"slices"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// The actions of the service.
const (
	ActionDecisionChanged     = "decision_changed"
	ActionMoveRecorded        = "move_recorded"
	ActionModeChanged         = "mode_changed"
	ActionFreezeBegan         = "freeze_began"
	ActionFreezeEnded         = "freeze_ended"
	ActionStopBegan           = "emergency_stop_began"
	ActionStopEnded           = "emergency_stop_ended"
	ActionGovernanceAccepted  = "governance_accepted"
	ActionGovernanceRejected  = "governance_rejected"
	ActionApprovalProposed    = "approval_proposed"
	ActionApprovalUsed        = "approval_used"
	ActionApprovalExpired     = "approval_expired"
	ActionApprovalNotAccepted = "approval_not_accepted"
)

// AuditActions are all actions of the service, in the order in which one meets
// them; those of the Jobs are [mayastor.AuditActions]. Records of both are one
// JSON object a line with the same keys, and the name of a Job, in move, joins
// those of one move. After a restart of the service, what still holds is written
// once more.
func AuditActions() []mayastor.AuditAction {
	return []mayastor.AuditAction{
		{Action: ActionDecisionChanged, Meaning: "what becomes of a volume is not what it was, which outcome says: decision, from_tier, to_tier, trigger_iops, gate and reason of what holds it, move for one that starts"},
		{Action: ActionMoveRecorded, Meaning: "the result of a Job, its outcome, was entered in the policy's history: move, from_tier, to_tier, from_pool, to_pool, trigger_iops, error"},
		{Action: ActionModeChanged, Outcome: "changed", Meaning: "a policy's mode is not what it was: former_mode, mode, reason"},
		{Action: ActionFreezeBegan, Outcome: "began", Meaning: "the cluster is frozen, nothing new starts: until, reason"},
		{Action: ActionFreezeEnded, Outcome: "ended", Meaning: "the freeze is over, or was lifted"},
		{Action: ActionStopBegan, Outcome: "began", Level: slog.LevelWarn, Meaning: "the emergency stop of the cluster is on: nothing new starts, and moves that run come to a safe end: reason"},
		{Action: ActionStopEnded, Outcome: "ended", Meaning: "the emergency stop was lifted"},
		{Action: ActionGovernanceAccepted, Outcome: "accepted", Meaning: "a governance configuration was read and is in force"},
		{Action: ActionGovernanceRejected, Outcome: "rejected", Level: slog.LevelWarn, Meaning: "the governance configuration cannot be read or has faults; the last good one stays, or nothing starts: reason, error, last_good_in_force"},
		{Action: ActionApprovalProposed, Outcome: "proposed", Meaning: "moves of a policy with spec.approval Manual were put forward: digest, moves, until"},
		{Action: ActionApprovalUsed, Outcome: "used", Meaning: "a policy carries the digest of its proposal, and the moves in it may start: digest, moves"},
		{Action: ActionApprovalExpired, Outcome: "expired", Meaning: "a proposal is void before its moves were all begun: digest, reason"},
		{Action: ActionApprovalNotAccepted, Outcome: "refused", Level: slog.LevelWarn, Meaning: "a policy carries a digest that is not that of its proposal, and nothing starts for it: digest, reason"},
	}
}

// audit writes one record of an action.
func audit(ctx context.Context, log *slog.Logger, action, message string, attrs ...any) {
	all := AuditActions()
	row := all[slices.IndexFunc(all, func(a mayastor.AuditAction) bool { return a.Action == action })]
	head := []any{keyAction, action}
	if row.Outcome != "" {
		head = append(head, keyOutcome, row.Outcome)
	}
	log.Log(ctx, row.Level, message, append(head, attrs...)...) //nolint:sloglint // the messages are constants of the callers
}

// AuditGovernance writes that a governance configuration is in force, or why it
// is not.
func AuditGovernance(log *slog.Logger, g *tiering.Governed) {
	if g.Source.OK {
		audit(context.Background(), log, ActionGovernanceAccepted, "the governance configuration is in force")
		return
	}
	audit(context.Background(), log, ActionGovernanceRejected, "the governance configuration is not accepted",
		keyReason, g.Source.Reason, keyError, g.Source.Message, "last_good_in_force", g.Known)
}

// The keys of an audit line beside time, level and message, which the writer of
// the log names timestamp, level and message.
const (
	keyAction     = "action"
	keyPolicy     = "policy"
	keyVolume     = "volume"
	keyVolumeUUID = "volume_uuid"
	keyClaim      = "claim"
	keyMove       = "move"
	keyDecision   = "decision"
	keyFrom       = "from_tier"
	keyTo         = "to_tier"
	keyFromPool   = "from_pool"
	keyToPool     = "to_pool"
	keyScore      = "trigger_iops"
	keyGate       = "gate"
	keyReason     = "reason"
	keyOutcome    = "outcome"
	keyError      = "error"
	keyMode       = "mode"
	keyFormerMode = "former_mode"
	keyUntil      = "until"
	keyDigest     = "digest"
	keyMoves      = "moves"
)

package server

import (
	"slices"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// moveNumbers are those of the moves of one policy. What ended is taken from the
// status, which counts each result once and outlives this process.
type moveNumbers struct {
	// active by direction.
	active map[string]int
	// oldest is when the oldest of them started, deadlines are when the time of
	// each is over.
	oldest    time.Time
	deadlines []time.Time
	// wanted is since when the oldest wish in the plan waits.
	wanted  time.Time
	results []tiering.ResultCount
	// last is the last move of each volume that the history shows.
	last []lastMove
}

// lastMove is a volume's last move that moved it.
type lastMove struct {
	claim, direction, volume string
	started, ended           time.Time
}

func movesOf(policy string, plan *tiering.Plan, status *tiering.StoragePolicyStatus) moveNumbers {
	n := moveNumbers{
		active: map[string]int{}, results: slices.Clone(status.Results), last: lastMoves(status.MigrationHistory),
	}
	for i := range status.Plan {
		if at := status.Plan[i].WantedSince; at != nil && (n.wanted.IsZero() || at.Time.Before(n.wanted)) {
			n.wanted = at.Time
		}
	}
	if plan == nil {
		n.active[tiering.DirectionOther] = int(status.ActiveMigrations)
		return n
	}
	for i := range plan.Decisions {
		j := plan.Decisions[i].Volume.Live
		if j == nil || j.Policy != policy {
			continue
		}
		n.active[j.Direction()]++
		if n.oldest.IsZero() || j.Started.Before(n.oldest) {
			n.oldest = j.Started
		}
		if !j.Deadline.IsZero() {
			n.deadlines = append(n.deadlines, j.Deadline)
		}
	}
	return n
}

// lastMoves are those of a history whose newest entry comes first.
func lastMoves(history []tiering.HistoryEntry) []lastMove {
	var all []lastMove
	seen := make(map[string]bool, len(history))
	for i := range history {
		e := &history[i]
		if e.Outcome != tiering.OutcomeMoved || seen[e.VolumeName] {
			continue
		}
		seen[e.VolumeName] = true
		all = append(all, lastMove{
			claim: text(e.Claim), direction: e.Direction(), volume: text(e.VolumeName),
			started: began(e), ended: e.Timestamp.Time,
		})
	}
	return all
}

// began is when a move of the history began; its end, if it does not say.
func began(e *tiering.HistoryEntry) time.Time {
	took, err := time.ParseDuration(e.Duration)
	if err != nil {
		took = 0
	}
	return e.Timestamp.Add(-took)
}

func (n *moveNumbers) collect(x exposition, policy string, now time.Time) {
	for _, direction := range tiering.Directions() {
		x.gauge("couchestor_active_moves", float64(n.active[direction]), direction, policy)
	}
	overdue := 0
	for _, deadline := range n.deadlines {
		if now.After(deadline) {
			overdue++
		}
	}
	x.gauge("couchestor_overdue_moves", float64(overdue), policy)
	x.gauge("couchestor_active_move_age_seconds", age(n.oldest, now), policy)
	x.gauge("couchestor_wish_age_seconds", age(n.wanted, now), policy)
	n.collectResults(x, policy)
	for _, m := range n.last {
		x.gauge("couchestor_volume_move_started_timestamp_seconds", seconds(m.started), m.claim, m.direction, policy, m.volume)
		x.gauge("couchestor_volume_move_ended_timestamp_seconds", seconds(m.ended), m.claim, m.direction, policy, m.volume)
	}
}

// age is 0 for what is not there.
func age(since, now time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(0, now.Sub(since).Seconds())
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// collectResults shows the counts of the status. Directions, outcomes and
// triggers begin at zero; a reason is there once it was met.
func (n *moveNumbers) collectResults(x exposition, policy string) {
	type ended struct{ direction, outcome, trigger string }
	type unsuccessful struct{ direction, outcome, reason string }
	type total struct{ jobs, seconds, bytes, leads, leadSeconds int64 }
	ends, reasons, totals := map[ended]int64{}, map[unsuccessful]int64{}, map[string]total{}
	for _, direction := range tiering.Directions() {
		totals[direction] = total{}
		for _, outcome := range tiering.Outcomes() {
			for _, trigger := range tiering.Triggers() {
				ends[ended{direction, outcome, trigger}] = 0
			}
		}
	}
	for _, c := range n.results {
		// Words that are not known would be labels without a bound.
		if !slices.Contains(tiering.Directions(), c.Direction) || !slices.Contains(tiering.Outcomes(), c.Outcome) || !slices.Contains(tiering.Triggers(), c.Trigger) {
			continue
		}
		ends[ended{c.Direction, c.Outcome, c.Trigger}] += c.Count
		t := totals[c.Direction]
		t.bytes += c.Bytes
		if c.Outcome != tiering.OutcomeMoved {
			reasons[unsuccessful{c.Direction, c.Outcome, text(c.Reason)}] += c.Count
		} else {
			if c.Trigger != tiering.TriggerByHand {
				t.jobs += c.Count
				t.seconds += c.Seconds
			}
			t.leads += c.LeadTimes
			t.leadSeconds += c.LeadSeconds
		}
		totals[c.Direction] = t
	}
	for k, v := range ends {
		x.counter("couchestor_moves_ended_total", float64(v), k.direction, k.outcome, policy, k.trigger)
	}
	for k, v := range reasons {
		x.counter("couchestor_moves_unsuccessful_total", float64(v), k.direction, k.outcome, policy, k.reason)
	}
	for direction, t := range totals {
		x.counter("couchestor_moved_bytes_total", float64(t.bytes), direction, policy)
		x.summary("couchestor_move_duration_seconds", uint64(t.jobs), float64(t.seconds), direction, policy)
		x.summary("couchestor_move_lead_time_seconds", uint64(t.leads), float64(t.leadSeconds), direction, policy)
	}
}

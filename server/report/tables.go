package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/billyronks/couchestor/server/explain"
	"github.com/billyronks/couchestor/tiering"
)

// The bounds of the tables.
const (
	mostNext = 20
	// mostShown is how many results are shown before the others are folded away.
	mostShown   = 15
	mostResults = 100
	mostVolumes = 500
)

// next are the moves that run and those that are planned.
type next struct {
	Rows []nextRow
	More string
}

// nextRow is one of them.
type nextRow struct {
	What, Volume, Policy, From, To, Pools, Size, Time, Reason string
}

func upcoming(plans []tiering.Explanation) next {
	var n next
	total := 0
	running := make(map[string]bool)
	for i := range plans {
		for k := range plans[i].Moves {
			m := &plans[i].Moves[k]
			if m.Order == 0 {
				// Each policy that selects the volume shows the move that runs.
				if running[m.Volume] {
					continue
				}
				running[m.Volume] = true
			}
			if total++; total <= mostNext {
				n.Rows = append(n.Rows, nextRowOf(&plans[i], m))
			}
		}
	}
	if total > mostNext {
		n.More = fmt.Sprintf("And %d more; couchestor plan lists them.", total-mostNext)
	}
	return n
}

func nextRowOf(e *tiering.Explanation, m *tiering.MoveExplanation) nextRow {
	r := nextRow{
		Volume: cmp.Or(m.Claim, m.Volume), Policy: e.Policy, From: m.From, To: m.To, Reason: m.Reason,
		Pools: strings.Join(m.SourcePools, ", ") + " → " + strings.Join(m.TargetPools, ", "),
	}
	if len(m.SourcePools) == 0 && len(m.TargetPools) == 0 {
		r.Pools = "–"
	}
	switch m.Action {
	case tiering.Moving.String():
		r.What = "runs"
		if !m.Started.IsZero() {
			r.What += " for " + explain.Span(max(0, e.DecidedAt.Sub(m.Started)))
		}
	case tiering.WouldMove.String():
		r.What = "would start"
	case tiering.Recover.String():
		r.What = "recovery starts"
	default:
		r.What = fmt.Sprintf("starts, number %d", m.Order)
	}
	if m.CopyBytes > 0 {
		r.Size, r.Time = size(m.CopyBytes), explain.Span(time.Duration(m.ExpectedSeconds*float64(time.Second)))
	}
	return r
}

// last are the last results, newest first.
type last struct {
	First, Rest resultRows
	More        string
}

// resultRows is a table of results. Many is true if they are of several policies.
type resultRows struct {
	Rows []resultRow
	Many bool
}

// resultRow is one result.
type resultRow struct {
	Ended, Volume, Policy, From, To, Pools, Score, Size, Took, Before, After, Outcome, Error string
	Failed                                                                                   bool
}

func results(in *Input) last {
	type result struct {
		policy string
		*tiering.HistoryEntry
	}
	var all []result
	each(in.Plans, func(e *tiering.Explanation, h *tiering.HistoryEntry) { all = append(all, result{e.Policy, h}) })
	slices.SortStableFunc(all, func(a, b result) int {
		return cmp.Or(b.Timestamp.Compare(a.Timestamp.Time), cmp.Compare(a.JobName, b.JobName))
	})
	many := len(in.Plans) > 1
	l := last{First: resultRows{Many: many}, Rest: resultRows{Many: many}}
	for i, h := range all[:min(len(all), mostResults)] {
		r := resultRow{
			Ended: timeText(h.Timestamp.Time), Volume: cmp.Or(h.Claim, h.VolumeName), Policy: h.policy,
			From: cmp.Or(h.FromTier, "–"), To: cmp.Or(h.ToTier, "–"), Score: iops(h.TriggerIOPS),
			Outcome: cmp.Or(h.Outcome, "–"), Error: h.Error, Failed: h.Outcome == tiering.OutcomeFailed,
		}
		if h.FromPool != "" || h.ToPool != "" {
			r.Pools = strings.ReplaceAll(cmp.Or(h.FromPool, "–")+" → "+cmp.Or(h.ToPool, "–"), ",", ", ")
		}
		if h.Bytes > 0 {
			r.Size = size(h.Bytes)
		}
		if took, err := time.ParseDuration(h.Duration); err == nil {
			r.Took = explain.Span(took)
		}
		r.Before, r.After = latencyOf(in.Effects, h.HistoryEntry)
		if i < mostShown {
			l.First.Rows = append(l.First.Rows, r)
		} else {
			l.Rest.Rows = append(l.Rest.Rows, r)
		}
	}
	if len(all) > mostResults {
		l.More = fmt.Sprintf("And %d older ones, in the statuses of the policies.", len(all)-mostResults)
	}
	return l
}

// volumes are all of them, those first of which there is most to say.
type volumes struct {
	Rows []volumeRow
	// More says what is left out.
	More []string
}

// volumeRow is one volume.
type volumeRow struct {
	Volume, Policy, Tier, Score, Coverage, Band, Decision, Reason string
}

func list(subjects []subject, foreign int) volumes {
	var l volumes
	total := 0
	for _, s := range subjects {
		for i := range s.volumes {
			v := &s.volumes[i]
			if total++; total > mostVolumes {
				continue
			}
			r := volumeRow{
				Volume: name(v), Policy: s.Policy, Tier: placeText(v.Tier), Score: "–", Coverage: "–",
				Band: v.Band, Decision: decision(v), Reason: v.Reason,
			}
			if v.ScoreIOPS != nil {
				r.Score = iops(*v.ScoreIOPS)
			}
			if v.CoveragePercent != nil {
				r.Coverage = percent(*v.CoveragePercent)
			}
			l.Rows = append(l.Rows, r)
		}
	}
	if total > mostVolumes {
		l.More = append(l.More, fmt.Sprintf("And %s more; couchestor plan lists them.", plural(total-mostVolumes, "volume")))
	}
	if foreign > 0 {
		l.More = append(l.More, plural(foreign, "volume")+" that a policy selects and another policy wins: shown with the one that wins, if that is in the report.")
	}
	return l
}

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

// Input is what a report is made of. It is not changed.
type Input struct {
	// At is when the report is made. All times are shown in UTC.
	At time.Time
	// Version of the program that makes it.
	Version string
	// Plans are those of the policies to report on, in the order to show them. A
	// volume that several of them show is that of the one that wins it.
	Plans []tiering.Explanation
	// Effects are moves with what their volumes did around them, newest first.
	Effects []Effect
	// Measured says how it went to ask for the effects. Its Reason is [NotAsked]
	// where nobody was asked.
	Measured tiering.SourceExplanation
}

// NotAsked is the reason of a source that was left alone on purpose.
const NotAsked = "NotAsked"

// Report is the content of the page: what is shown, in the words in which it is
// shown, with places and sizes of marks. Places across are in percent of the
// width, heights in pixels.
type Report struct {
	Made, Version string
	// Alarms are sentences about what makes the report incomplete.
	Alarms   []string
	Figures  []figure
	Policies []policyRow
	Notes    []note
	Sources  []sourceRow
	Heat     []heat
	Served   served
	Fill     fill
	Timeline timeline
	Freed    freed
	Latency  latency
	Holds    holds
	Next     next
	Last     last
	Volumes  volumes
}

// figure is one number that sums something up.
type figure struct{ Label, Value, Note string }

// policyRow is where one policy stands.
type policyRow struct {
	Name, State, Reason, Edges string
	Counts                     tiering.Counts
}

// note is something out of the ordinary that a policy says.
type note struct{ Policy, Kind, Message string }

// sourceRow is how one source is.
type sourceRow struct {
	Name, State, Read, Says string
	Bad                     bool
}

// subject is a policy with the volumes that are its own.
type subject struct {
	*tiering.Explanation
	volumes []tiering.VolumeSummary
}

// New makes the report.
func New(in Input) *Report {
	subjects, foreign := divide(in.Plans)
	r := &Report{
		Made: timeText(in.At), Version: in.Version,
		Policies: policies(in.Plans), Notes: notes(in.Plans), Sources: sources(&in),
		Served: serve(subjects), Fill: fills(in.Plans),
		Timeline: timelineOf(in.Plans, in.At), Freed: free(in.Plans, in.At),
		Latency: measure(&in), Holds: hold(subjects),
		Next: upcoming(in.Plans), Last: results(&in), Volumes: list(subjects, foreign),
	}
	for _, s := range subjects {
		if len(s.volumes) > 0 {
			r.Heat = append(r.Heat, heatOf(s, len(r.Heat)))
		}
	}
	for _, s := range r.Sources {
		if s.Bad {
			r.Alarms = append(r.Alarms, s.Name+": "+s.Says)
		}
	}
	r.Figures = r.figures(subjects)
	return r
}

// Dotted reports whether the volumes of a policy are shown as dots.
func (r *Report) Dotted() bool {
	return slices.ContainsFunc(r.Heat, func(h heat) bool { return !h.Dense })
}

// Crowded reports whether those of a policy are too many for that.
func (r *Report) Crowded() bool {
	return slices.ContainsFunc(r.Heat, func(h heat) bool { return h.Dense })
}

// divide gives each volume to one policy: the one that wins it, else the first
// that shows it. The others are counted.
func divide(plans []tiering.Explanation) (subjects []subject, foreign int) {
	wins := tiering.GateWins.String()
	taken := make(map[string]bool)
	for i := range plans {
		s := subject{Explanation: &plans[i]}
		for _, v := range plans[i].Volumes {
			switch {
			case v.Gate == wins:
				foreign++
			case !taken[v.Volume]:
				taken[v.Volume] = true
				s.volumes = append(s.volumes, v)
			}
		}
		subjects = append(subjects, s)
	}
	return subjects, foreign
}

func policies(plans []tiering.Explanation) []policyRow {
	rows := make([]policyRow, 0, len(plans))
	for i := range plans {
		e := &plans[i]
		row := policyRow{Name: e.Policy, State: string(e.Phase), Reason: e.ModeReason, Counts: e.Counts, Edges: edges(e.Watermarks)}
		if e.Mode != "" && e.Mode != row.State {
			row.State = strings.TrimPrefix(row.State+", "+e.Mode, ", ")
		}
		rows = append(rows, row)
	}
	return rows
}

// edges are the watermarks in words.
func edges(w *tiering.Watermarks) string {
	switch {
	case w == nil:
		return ""
	case w.Warm > 0:
		return fmt.Sprintf("hot above %s, warm from %s, cold below %s IOPS", group(w.High), group(w.Warm), group(w.Low))
	}
	return fmt.Sprintf("hot above %s, cold below %s IOPS", group(w.High), group(w.Low))
}

func notes(plans []tiering.Explanation) []note {
	var all []note
	for i := range plans {
		for _, n := range plans[i].Notes {
			all = append(all, note{plans[i].Policy, n.Type, n.Message})
		}
	}
	return all
}

// sources are those of all policies; what several policies say alike is said
// once, with the oldest reading.
func sources(in *Input) []sourceRow {
	type source struct {
		tiering.SourceExplanation
		policies []string
	}
	var all []source
	for i := range in.Plans {
		for _, s := range in.Plans[i].Sources {
			at := slices.IndexFunc(all, func(have source) bool {
				return have.Name == s.Name && have.OK == s.OK && have.Message == s.Message && have.Supports == s.Supports
			})
			if at < 0 {
				at, all = len(all), append(all, source{SourceExplanation: s})
			}
			have := &all[at]
			if have.ReadAt.IsZero() || !s.ReadAt.IsZero() && s.ReadAt.Before(have.ReadAt) {
				have.ReadAt = s.ReadAt
			}
			have.policies = append(have.policies, in.Plans[i].Policy)
		}
	}
	slices.SortStableFunc(all, func(a, b source) int { return cmp.Compare(a.Name, b.Name) })
	rows := make([]sourceRow, 0, len(all)+1)
	for _, s := range all {
		says := strings.TrimSpace(s.Message + " " + sentence(s.Supports))
		if len(s.policies) < len(in.Plans) {
			says = "For " + strings.Join(s.policies, ", ") + ": " + says
		}
		row := sourceRow{Name: s.Name, State: "up", Says: says, Bad: !s.OK}
		if !s.OK {
			row.State = "down"
		}
		if !s.ReadAt.IsZero() {
			row.Read = ago(in.At, s.ReadAt)
		}
		rows = append(rows, row)
	}
	m := sourceRow{Name: "Latency around moves", State: "up", Says: in.Measured.Message}
	switch {
	case in.Measured.Reason == NotAsked:
		m.State = "not asked"
	case !in.Measured.OK:
		m.State, m.Bad = "missing", true
	}
	return append(rows, m)
}

// figures are what one reads first.
func (r *Report) figures(subjects []subject) []figure {
	counts := tiering.Counts{}
	for _, s := range subjects {
		for i := range s.volumes {
			count(&counts, &s.volumes[i])
		}
	}
	shares := []string{}
	for _, c := range []struct {
		n    int
		what string
	}{
		{counts.Stay, "where they belong"},
		{counts.Moving, "moving"},
		{counts.Moves, "to move"},
		{counts.Recover, "to recover"},
		{counts.Held, "held"},
		{counts.Unknown, "without a score to act on"},
	} {
		if c.n > 0 {
			shares = append(shares, group(int64(c.n))+" "+c.what)
		}
	}
	return []figure{
		{"Hot volumes served fast", r.Served.Total.Share, r.Served.Total.Note},
		{"Left the hot tier by moves", r.Freed.LeftText, r.Freed.Note},
		{"Latency of moves to a faster tier", r.Latency.Faster.Value, r.Latency.Faster.Note},
		{"Moves", r.Timeline.Share, r.Timeline.Note},
		{"Volumes", group(int64(counts.Volumes)), strings.Join(shares, ", ")},
	}
}

// count counts a volume as a plan does, but for holds of volumes that wish for
// nothing, which are held all the same.
func count(c *tiering.Counts, v *tiering.VolumeSummary) {
	c.Volumes++
	switch v.Decision {
	case tiering.Hold.String():
		if v.Gate == tiering.GateCoverage.String() {
			c.Unknown++
		} else {
			c.Held++
		}
	case tiering.Stay.String():
		c.Stay++
	case tiering.Moving.String():
		c.Moving++
	case tiering.Recover.String():
		c.Recover++
	default:
		c.Moves++
	}
}

// sentence makes a sentence of words that begin and end in the middle of one.
func sentence(words string) string {
	words = strings.TrimRight(words, ". ")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:] + "."
}

func ago(now, at time.Time) string { return explain.Span(max(0, now.Sub(at))) + " ago" }

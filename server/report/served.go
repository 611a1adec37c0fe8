package report

import (
	"fmt"

	"github.com/billyronks/couchestor/tiering"
)

// served is how many of the hot volumes, those whose score asks for the hot tier,
// are on it with all replicas.
type served struct {
	Rows  []servedRow
	Total servedRow
	// Unknown says how many volumes have no score, "" if none.
	Unknown string
}

// servedRow is that of one policy. Parts of the bar lie side by side, in percent of
// its width.
type servedRow struct {
	Policy, Share, Note string
	Parts               []servedPart
}

// servedPart is a part of the bar: fast, moving, next or held.
type servedPart struct {
	Kind     string
	X, Width pct
	Title    string
}

// hotCount counts hot volumes and their operations.
type hotCount struct {
	fast, moving, next, held int
	fastIOPS, allIOPS        float64
}

func (c *hotCount) all() int { return c.fast + c.moving + c.next + c.held }

func serve(subjects []subject) served {
	var s served
	var total hotCount
	unknown := 0
	for _, p := range subjects {
		var c hotCount
		for i := range p.volumes {
			v := &p.volumes[i]
			if v.Band == "unknown" {
				unknown++
			}
			c.add(v)
		}
		if len(p.volumes) > 0 {
			s.Rows = append(s.Rows, c.row(p.Policy))
		}
		total.fast, total.moving = total.fast+c.fast, total.moving+c.moving
		total.next, total.held = total.next+c.next, total.held+c.held
		total.fastIOPS, total.allIOPS = total.fastIOPS+c.fastIOPS, total.allIOPS+c.allIOPS
	}
	s.Total = total.row("")
	if unknown > 0 {
		s.Unknown = plural(unknown, "volume") + " without a score that may be acted on: nobody knows whether they are hot."
		if total.all() == 0 {
			s.Total.Note = "none is known to be hot; " + group(int64(unknown)) + " without a score"
		}
	}
	return s
}

func (c *hotCount) add(v *tiering.VolumeSummary) {
	if v.Band != "hot" {
		return
	}
	score := 0.0
	if v.ScoreIOPS != nil {
		score = *v.ScoreIOPS
	}
	c.allIOPS += score
	switch {
	case v.Tier == "hot":
		c.fast++
		c.fastIOPS += score
	case v.Decision == tiering.Moving.String():
		c.moving++
	case v.Decision == tiering.Move.String() || v.Decision == tiering.WouldMove.String():
		c.next++
	default:
		c.held++
	}
}

func (c *hotCount) row(policy string) servedRow {
	r := servedRow{Policy: policy, Share: part(float64(c.fast), float64(c.all()))}
	if c.all() == 0 {
		r.Note = "no volume is known to be hot"
		return r
	}
	r.Note = fmt.Sprintf("%s of %s, with %s of their IOPS", group(int64(c.fast)), plural(c.all(), "hot volume"), part(c.fastIOPS, c.allIOPS))
	x := pct(0)
	for _, p := range []struct {
		kind, words string
		n           int
	}{
		{"fast", "on the hot tier", c.fast},
		{"moving", "moving", c.moving},
		{"next", "to move next", c.next},
		{"held", "held elsewhere", c.held},
	} {
		if p.n == 0 {
			continue
		}
		width := pct(100 * float64(p.n) / float64(c.all()))
		r.Parts = append(r.Parts, servedPart{p.kind, x, width, plural(p.n, "hot volume") + " " + p.words})
		if p.kind != "fast" {
			r.Note += fmt.Sprintf("; %d %s", p.n, p.words)
		}
		x += width
	}
	return r
}

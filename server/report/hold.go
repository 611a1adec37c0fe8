package report

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// holds is how many volumes each gate holds.
type holds struct {
	Rows []holdRow
	// Total of the volumes held, Wishing how many of them should be elsewhere.
	Total, Wishing int
}

// holdRow is one gate. Example is one volume with the sentence that holds it.
type holdRow struct {
	Gate, Count, Wishing string
	Width                pct
	Opens                string
	Example, Reason      string
}

// without is a sentence without the gate that it begins with.
func without(sentence, gate string) string {
	rest, ok := strings.CutPrefix(sentence, gate+": ")
	if !ok || rest == "" {
		return sentence
	}
	return strings.ToUpper(rest[:1]) + rest[1:]
}

func hold(subjects []subject) holds {
	type held struct {
		gate           string
		count, wishing int
		opens          time.Time
		example        *tiering.VolumeSummary
	}
	var h holds
	var all []held
	for _, s := range subjects {
		for i := range s.volumes {
			v := &s.volumes[i]
			if v.Decision != tiering.Hold.String() {
				continue
			}
			gate := cmp.Or(v.Gate, "none")
			at := slices.IndexFunc(all, func(have held) bool { return have.gate == gate })
			if at < 0 {
				at, all = len(all), append(all, held{gate: gate, example: v})
			}
			have := &all[at]
			have.count++
			h.Total++
			if wants(v) != "" {
				if have.wishing == 0 {
					have.example = v
				}
				have.wishing++
				h.Wishing++
			}
			if !v.OpensAt.IsZero() && (have.opens.IsZero() || v.OpensAt.Before(have.opens)) {
				have.opens = v.OpensAt
			}
		}
	}
	slices.SortFunc(all, func(a, b held) int { return cmp.Or(b.count-a.count, cmp.Compare(a.gate, b.gate)) })
	for _, g := range all {
		h.Rows = append(h.Rows, holdRow{
			Gate: g.gate, Count: group(int64(g.count)), Wishing: group(int64(g.wishing)),
			Width: pct(100 * float64(g.count) / float64(all[0].count)), Opens: timeText(g.opens),
			Example: name(g.example), Reason: without(g.example.Reason, g.gate),
		})
	}
	return h
}

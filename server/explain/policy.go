package explain

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// Policy writes what was decided for a policy: where it stands, the sources, the
// volumes, the moves in their order, and how full the tiers are and will be.
func Policy(w io.Writer, e *tiering.Explanation, s Style) {
	title := fmt.Sprintf("%s, generation %d: %s", printable(e.Policy), e.Generation, or(string(e.Phase)))
	if e.Mode != "" && e.Mode != string(e.Phase) {
		title += ", " + e.Mode
	}
	fmt.Fprintf(w, "%s. %s\n%s\n", s.paint(bold, title), s.paragraph(0, printable(e.ModeReason)), s.paint(faint, decided(e.DecidedAt, e.AgeSeconds)))
	writeSources(w, e, s)
	for _, n := range e.Notes {
		fmt.Fprintf(w, "%s\n", s.paint(warned, s.paragraph(2, "! "+n.Type+": "+printable(n.Message))))
	}
	fmt.Fprintln(w)
	if len(e.Volumes) == 0 {
		fmt.Fprintln(w, "No volume is decided on: the policy selects none, or has faults.")
	} else {
		writeVolumes(w, e, s)
	}
	fmt.Fprintln(w)
	writeMoves(w, e, s)
	if len(e.Tiers) > 0 {
		fmt.Fprintln(w)
		writeTiers(w, e, s)
	}
}

// decided says when, and how long ago that was.
func decided(at time.Time, ageSeconds float64) string {
	return fmt.Sprintf("Decided at %s, %s ago.", timeText(at), Span(seconds(ageSeconds)))
}

func seconds(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }

func writeSources(w io.Writer, e *tiering.Explanation, s Style) {
	if len(e.Sources) == 0 {
		return
	}
	fmt.Fprintln(w)
	t := s.table("SOURCE", "STATE", "READ", "WHAT IT SAYS")
	for _, src := range e.Sources {
		state, read := cell{"up", good}, "-"
		if !src.OK {
			state = cell{"down", bad}
		}
		if !src.ReadAt.IsZero() {
			read = Span(e.DecidedAt.Sub(src.ReadAt)+seconds(e.AgeSeconds)) + " ago"
		}
		says := src.Message
		if src.Supports != "" {
			says = strings.TrimSpace(says + " " + sentence(src.Supports))
		}
		t.row(text(src.Name), state, text(read), text(or(says)))
	}
	t.write(w)
}

// sentence makes a sentence of words that begin and end in the middle of one.
func sentence(words string) string {
	words = strings.TrimRight(words, ". ")
	if words == "" {
		return ""
	}
	return strings.ToUpper(words[:1]) + words[1:] + "."
}

func writeVolumes(w io.Writer, e *tiering.Explanation, s Style) {
	head := []string{"CLAIM", "TIER", ">SCORE", ">COVERAGE", "BAND", "DECISION", "REASON"}
	if s.Wide {
		head = append([]string{"CLAIM", "VOLUME"}, head[1:]...)
	}
	t := s.table(head...)
	for i := range e.Volumes {
		v := &e.Volumes[i]
		name := v.Claim
		if name == "" && !s.Wide {
			name = v.Volume
		}
		cells := []cell{text(or(name))}
		if s.Wide {
			cells = append(cells, text(v.Volume))
		}
		t.row(append(cells, text(v.Tier), text(figure(v.ScoreIOPS, number)), text(figure(v.CoveragePercent, percent)),
			text(v.Band), cell{decision(v), color(v.Decision)}, text(v.Reason))...)
	}
	t.write(w)
	c := e.Counts
	fmt.Fprintf(w, "%s: %d to move, %d moving, %d to recover, %d held, %d unknown, %d where they belong.\n",
		count(c.Volumes, "volume"), c.Moves, c.Moving, c.Recover, c.Held, c.Unknown, c.Stay)
}

// decision is the word with the direction, where there is one.
func decision(v *tiering.VolumeSummary) string {
	switch v.Decision {
	case tiering.Move.String(), tiering.WouldMove.String():
		return v.Decision + " to " + v.To
	}
	return v.Decision
}

func color(decision string) string {
	switch decision {
	case tiering.Move.String(), tiering.WouldMove.String():
		return good
	case tiering.Moving.String():
		return doing
	case tiering.Hold.String():
		return warned
	case tiering.Recover.String():
		return bad
	}
	return plain
}

func writeMoves(w io.Writer, e *tiering.Explanation, s Style) {
	if len(e.Moves) == 0 {
		fmt.Fprintln(w, "No move runs, and none is to start.")
		return
	}
	t := s.table(">#", "CLAIM", "FROM", "TO", ">REPLICAS", ">BYTES", ">TIME", "SOURCE POOLS", "TARGET POOLS")
	for i := range e.Moves {
		m := &e.Moves[i]
		order, replicas, size, takes := "runs", "-", "-", "-"
		if m.Action == tiering.Recover.String() {
			order = "tidy"
		}
		if m.Order > 0 {
			order, replicas, size = strconv.Itoa(m.Order), strconv.Itoa(m.Replicas), Bytes(m.CopyBytes)
			takes = Span(seconds(m.ExpectedSeconds))
		}
		name := m.Claim
		if name == "" {
			name = m.Volume
		}
		t.row(text(order), cell{name, color(m.Action)}, text(m.From), text(m.To), text(replicas), text(size), text(takes),
			text(or(strings.Join(m.SourcePools, ", "))), text(or(strings.Join(m.TargetPools, ", "))))
	}
	t.write(w)
}

func writeTiers(w io.Writer, e *tiering.Explanation, s Style) {
	head := []string{"TIER", ">POOLS", ">CAPACITY", ">USED", ">NOW", ">AFTER THE PLAN"}
	if !s.Wide {
		t := s.table(head...)
		for i := range e.Tiers {
			tier := &e.Tiers[i]
			t.row(text(tier.Tier), text(strconv.Itoa(len(tier.Pools))), text(Bytes(tier.CapacityBytes)),
				text(Bytes(tier.UsedBytes)), text(percent(tier.UsedPercent)), text(percent(tier.AfterPercent)))
		}
		t.write(w)
		return
	}
	t := s.table("TIER", "POOL", "NODE", ">CAPACITY", ">USED", ">NOW", ">MAY COME", "NOTE")
	for i := range e.Tiers {
		tier := &e.Tiers[i]
		t.row(cell{tier.Tier, bold}, text(count(len(tier.Pools), "pool")), text(""), text(Bytes(tier.CapacityBytes)), text(Bytes(tier.UsedBytes)),
			text(percent(tier.UsedPercent)), text(""), text(percent(tier.AfterPercent)+" after the plan"))
		for k := range tier.Pools {
			p := &tier.Pools[k]
			capacity, used, now := "-", "-", "-"
			if p.CapacityBytes > 0 {
				capacity, used, now = Bytes(p.CapacityBytes), Bytes(p.UsedBytes), percent(p.UsedPercent)
			}
			note := text(p.Note)
			if !p.Online {
				note = cell{strings.TrimSuffix("not Online; "+p.Note, "; "), bad}
			}
			t.row(text(""), text(p.Pool), text(p.Node), text(capacity), text(used), text(now), text(Bytes(p.ReservedBytes)), note)
		}
	}
	t.write(w)
}

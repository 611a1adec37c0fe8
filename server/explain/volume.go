package explain

import (
	"fmt"
	"io"
	"strings"

	"github.com/billyronks/couchestor/tiering"
)

// Volume writes all there is to say of one volume.
func Volume(w io.Writer, e *tiering.VolumeExplanation, s Style) {
	name := e.Claim
	if name == "" {
		name = "unbound"
	}
	fmt.Fprintf(w, "%s\n", s.paint(bold, fmt.Sprintf("%s (%s) by policy %s, generation %d", printable(name), printable(e.Volume), printable(e.Policy), e.Generation)))
	fmt.Fprintf(w, "%s\n", s.paint(color(e.Decision), s.paragraph(0, printable(e.Sentence))))
	fmt.Fprintf(w, "%s\n\n", s.paint(faint, decided(e.DecidedAt, e.AgeSeconds)))

	writeFacts(w, e, s)
	fmt.Fprintln(w)
	writeGates(w, e, s)
	if e.Candidates != nil {
		fmt.Fprintln(w)
		writeCandidates(w, e, s)
	}
	fmt.Fprintln(w)
	writeHistory(w, e, s)
}

func writeFacts(w io.Writer, e *tiering.VolumeExplanation, s Style) {
	fact := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-9s %s\n", name, s.paragraph(10, printable(fmt.Sprintf(format, args...))))
	}
	if e.ScoreIOPS != nil {
		fact("score", "%s IOPS with samples in %s of the window; the score alone asks for: %s", figure(e.ScoreIOPS, number), figure(e.CoveragePercent, percent), e.Band)
	} else {
		fact("score", "not known")
	}
	fact("tier", "is on %s, belongs on %s", e.Tier, belongs(e))
	if !e.Listed {
		fact("size", "not known, as Mayastor does not list the volume")
	} else {
		size := Bytes(e.SizeBytes) + ", thick"
		if e.Thin {
			size = fmt.Sprintf("%s, thin, with %s allocated", Bytes(e.SizeBytes), Bytes(e.AllocatedBytes))
		}
		fact("size", "%s; %s", size, count(e.Snapshots, "snapshot"))
		replicas := make([]string, 0, len(e.Replicas))
		for _, r := range e.Replicas {
			replicas = append(replicas, fmt.Sprintf("%s on %s (%s)", r.Pool, r.Node, r.Tier))
		}
		fact("replicas", "%s", or(strings.Join(replicas, ", ")))
	}
	if m := e.Move; m != nil {
		switch {
		case m.Order > 0:
			fact("move", "number %d in the plan: %s from %s to one of %s each, %s in about %s", m.Order, count(m.Replicas, "replica"),
				strings.Join(m.SourcePools, ", "), strings.Join(m.TargetPools, ", "), Bytes(m.CopyBytes), Span(seconds(m.ExpectedSeconds)))
		case m.Job != "":
			fact("move", "Job %s works on it since %s", m.Job, timeText(m.Started))
		}
	}
}

func belongs(e *tiering.VolumeExplanation) string {
	if e.To == tiering.NoTier.String() {
		return "no tier that is known"
	}
	return e.To
}

func writeGates(w io.Writer, e *tiering.VolumeExplanation, s Style) {
	t := s.table("GATE", "VERDICT", "WHY")
	for _, g := range e.Gates {
		verdict := cell{"pass", good}
		switch {
		case !g.Asked:
			verdict = cell{"-", faint}
		case !g.Pass && g.Gate == tiering.GateBand.String():
			verdict = cell{"stays", plain} // That is no fault.
		case !g.Pass && g.Gate == e.Gate:
			verdict = cell{"HOLDS", bad}
		case !g.Pass:
			verdict = cell{"holds", warned}
		}
		t.row(text(g.Gate), verdict, text(strings.TrimPrefix(g.Sentence, g.Gate+": ")))
	}
	t.write(w)
}

func writeCandidates(w io.Writer, e *tiering.VolumeExplanation, s Style) {
	t := s.table("POOL OF "+strings.ToUpper(e.To), "NODE", "FOR ONE MORE REPLICA")
	for _, c := range e.Candidates {
		verdict := cell{"would do", good}
		if c.Reject != "" {
			verdict = cell{c.Reject + " [" + c.Reason + "]", warned}
		}
		t.row(text(c.Pool), text(or(c.Node)), verdict)
	}
	t.write(w)
}

func writeHistory(w io.Writer, e *tiering.VolumeExplanation, s Style) {
	m := &e.Memory
	if m.Fault != "" {
		fmt.Fprintf(w, "%s\n", s.paint(bad, s.paragraph(0, "Its memory cannot be read: "+printable(m.Fault))))
	}
	if m.Attempts == 0 && m.State == "" && m.LastMigration.IsZero() && len(e.History) == 0 {
		fmt.Fprintln(w, "No move of it was ever tried.")
		return
	}
	line := fmt.Sprintf("%s so far", count(int(m.Attempts), "attempt"))
	if m.State != "" {
		line += "; the last: " + string(m.State)
		if m.Reason != "" {
			line += " (" + m.Reason + ")"
		}
		if m.To != "" {
			line += " to " + m.To
		}
		if m.Policy != "" {
			line += ", of policy " + m.Policy
		}
		if !m.At.IsZero() {
			line += ", at " + timeText(m.At)
		}
	}
	if m.Failures > 0 {
		line += fmt.Sprintf("; %s in a row", count(int(m.Failures), "failure"))
	}
	if !m.LastMigration.IsZero() {
		line += "; pools changed at " + timeText(m.LastMigration)
	}
	fmt.Fprintf(w, "%s\n", s.paragraph(0, printable(line+".")))
	if len(e.History) == 0 {
		return
	}
	t := s.table("ENDED", "OUTCOME", "FROM", "TO", ">IOPS", ">TOOK", "POOLS, OR WHY NOT")
	for i := range e.History {
		h := &e.History[i]
		outcome := cell{h.Outcome, warned}
		if h.Success {
			outcome.color = good
		}
		what := h.Error
		if what == "" && h.FromPool+h.ToPool != "" {
			what = or(h.FromPool) + " to " + or(h.ToPool)
		}
		t.row(text(timeText(h.Timestamp.Time)), outcome, text(or(h.FromTier)), text(or(h.ToTier)), text(number(h.TriggerIOPS)), text(or(h.Duration)), text(or(what)))
	}
	t.write(w)
}

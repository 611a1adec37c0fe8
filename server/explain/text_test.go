package explain

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/billyronks/couchestor/test/golden"
	"github.com/billyronks/couchestor/tiering"
)

func TestAPolicyAsText(t *testing.T) {
	p, s := townPlan(t, noon())
	e := p.Explain(s)
	e.AgeSeconds = 42
	for name, style := range map[string]Style{
		"policy.txt": {}, "policy-wide.txt": {Wide: true}, "policy-terminal.txt": {Width: 100, Color: true},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			Policy(&b, &e, style)
			golden.Check(t, "testdata/"+name, b.String())
		})
	}
}

func TestAVolumeAsText(t *testing.T) {
	p, s := townPlan(t, noon())
	for _, claim := range []string{"busy", "cooling", "detached", "running"} {
		t.Run(claim, func(t *testing.T) {
			i, ok := p.Lookup("shop/" + claim)
			if !ok {
				t.Fatal("not found")
			}
			e := p.ExplainVolume(i, s)
			e.AgeSeconds = 42
			var b strings.Builder
			Volume(&b, &e, Style{Width: 110})
			golden.Check(t, "testdata/volume-"+claim+".txt", b.String())
		})
	}
}

func TestAPolicyWithFaultsAsText(t *testing.T) {
	s := tiering.ErrorStatus(past(noon()), noon(), 4, []error{tiering.Fault{Field: "spec.minCoverage", Problem: "is 1; write 50 to 100"}})
	e := tiering.ExplainFaults("db", noon(), &s)
	var b strings.Builder
	Policy(&b, &e, Style{})
	golden.Check(t, "testdata/faults.txt", b.String())
}

func TestNoLineIsWiderThanTheTerminal(t *testing.T) {
	p, s := townPlan(t, noon())
	e := p.Explain(s)
	for _, width := range []int{100, 120, 200} {
		var b strings.Builder
		Policy(&b, &e, Style{Width: width})
		for i := range p.Decisions {
			v := p.ExplainVolume(i, s)
			Volume(&b, &v, Style{Width: width})
		}
		for line := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > width {
				t.Errorf("%d runes in a line of %d: %s", n, width, line)
			}
		}
	}
}

// What others named and wrote must not steer the terminal of who reads it.
func TestNamesAreNoControlSequences(t *testing.T) {
	in := town(t, noon())
	in.Volumes[0].ClaimName = "evil\x1b[31m\nname"
	in.Volumes[3].Unpublished = "gone\x1b[2J"
	p := tiering.Decide(in)
	e := p.Explain(nil)
	var b strings.Builder
	Policy(&b, &e, Style{})
	for i := range p.Decisions {
		v := p.ExplainVolume(i, nil)
		Volume(&b, &v, Style{})
	}
	if strings.Contains(b.String(), "\x1b") || strings.Contains(b.String(), "\nname") {
		t.Errorf("got %q", b.String())
	}
}

func TestSpans(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1400 * time.Millisecond: "1s", 90 * time.Second: "1m30s", time.Hour: "1h", time.Hour + time.Second: "1h0m1s",
		10 * time.Minute: "10m", 25*time.Hour + 30*time.Minute: "25h30m", 75 * time.Hour: "3d3h", 20 * time.Hour: "20h",
	} {
		if got := Span(d); got != want {
			t.Errorf("%d s: got %s, want %s", d/time.Second, got, want)
		}
	}
}

func TestNearNames(t *testing.T) {
	names := []string{"shop/postgres-0", "shop/postgres-1", "pay/ledger", "pvc-5b0204", "shop/a"}
	for name, want := range map[string]string{
		"shop/postgre-0": "shop/postgres-0 shop/postgres-1",
		"postgres-0":     "shop/postgres-0",
		"ledger":         "pay/ledger",
		"pvc-5b0240":     "pvc-5b0204",
		"nothing-such":   "",
		"":               "",
	} {
		if got := strings.Join(Near(name, names, 2), " "); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

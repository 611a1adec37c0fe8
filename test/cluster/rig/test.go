package rig

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// New starts a control plane for one test.
func New(tb testing.TB) *Rig {
	tb.Helper()
	bins, err := Find(tb.Context(), os.Stderr)
	if err != nil {
		tb.Fatal(err)
	}
	r, err := Start(tb.Context(), bins)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { r.end(tb.Failed(), tb.Output()) })
	tb.Logf("control plane ready in %s (%s)", r.Took.Round(100*time.Millisecond), bins.Source)
	return r
}

// end ends a control plane; of one that failed the logs are shown and kept.
func (r *Rig) end(failed bool, say io.Writer) {
	if !failed {
		r.Close()
		return
	}
	tails := r.Tails(30) // before they are full of the end
	r.Stop()
	fmt.Fprintf(say, "%sthe whole logs are in %s\n", tails, r.logs())
}

// Suite is a control plane that the tests of a package share, and the table of
// what they did with it.
type Suite struct {
	*Rig

	mu   sync.Mutex
	rows []row
}

// row is one scenario.
type row struct {
	name   string
	took   time.Duration
	passed bool
}

// Main runs the tests of a package: it finds or builds the programs, starts a
// control plane, has prepare see to what all tests need, and prints a table of
// the scenarios at the end. It returns the exit status.
func (s *Suite) Main(m *testing.M, prepare func(context.Context, *Rig) error) int {
	ctx := context.Background()
	bins, err := Find(ctx, os.Stderr)
	if err == nil {
		s.Rig, err = Start(ctx, bins)
	}
	if err == nil {
		fmt.Fprintf(os.Stderr, "rig: control plane ready in %s (%s)\n", s.Took.Round(100*time.Millisecond), bins.Source)
		err = prepare(ctx, s.Rig)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		if s.Rig != nil {
			s.end(true, os.Stderr)
		}
		return 1
	}
	status := m.Run()
	s.end(status != 0, os.Stderr)
	s.table(os.Stdout)
	return status
}

// Scenario enters the test in the table, in the words of what it shows.
func (s *Suite) Scenario(tb testing.TB, name string) {
	tb.Helper()
	start := time.Now()
	tb.Cleanup(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.rows = append(s.rows, row{name: name, took: time.Since(start), passed: !tb.Failed()})
	})
}

// table prints the scenarios in the order they ended in.
func (s *Suite) table(w io.Writer) {
	if len(s.rows) == 0 {
		return
	}
	failed := 0
	fmt.Fprintln(w)
	for _, r := range s.rows {
		verdict := "ok"
		if !r.passed {
			verdict = "FAILED"
			failed++
		}
		fmt.Fprintf(w, "%8.1fs  %-6s  %s\n", r.took.Seconds(), verdict, r.name)
	}
	longest := slices.MaxFunc(s.rows, func(a, b row) int { return int(a.took - b.took) })
	fmt.Fprintf(w, "%d scenarios, %d failed; the longest took %.1fs\n\n", len(s.rows), failed, longest.took.Seconds())
}

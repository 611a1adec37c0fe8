package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/billyronks/couchestor/mayastor"
)

// row is a line of the table: what is measured, how it reads, and the budget.
type row struct {
	name   string
	value  func(*figures) string
	budget string
}

// printTable prints all figures beside each other, in words.
func printTable(w io.Writer, all []*figures) {
	f := all[0]
	fmt.Fprintf(w, "\ncouchestor serve with %d MiB and %g of a core, as its Deployment has (overlay %s).\n", f.LimitMiB, f.Cores, f.Overlay)
	if f.Limits == "Go runtime" {
		fmt.Fprintf(w, "The limits are NOT enforced, the Go runtime was asked to keep to them (%s).\n\n", f.Proof)
	} else {
		fmt.Fprintf(w, "The limits are enforced by %s: %s.\n\n", f.Limits, f.Proof)
	}
	lines := [][]string{{""}}
	for _, f := range all {
		lines[0] = append(lines[0], "mode "+f.Mode)
	}
	lines[0] = append(lines[0], "budget")
	for _, r := range rows() {
		line := []string{r.name}
		for _, f := range all {
			line = append(line, r.value(f))
		}
		lines = append(lines, append(line, r.budget))
	}
	printColumns(w, lines)
	for _, f := range all {
		verdict := "all budgets that do not depend on the machine were kept"
		if len(f.Broken) > 0 {
			verdict = "FAILED:\n  - " + strings.Join(f.Broken, "\n  - ")
		}
		fmt.Fprintf(w, "\nmode %s: %s\n", f.Mode, verdict)
	}
	fmt.Fprint(w, "\nTimes are those of this machine at this hour; compare the multiples of the token scan,\nwhich is encoding/json's bare scan of a whole request's bytes, on a core of its own.\n")
}

func rows() []row {
	percentiles := func(s spread) string {
		if s == (spread{}) {
			return "not known"
		}
		return fmt.Sprintf("%.0f / %.0f / %.0f / %.0f", s.P50, s.P90, s.P99, s.Max)
	}
	return []row{
		{"volumes, policies, windows", func(f *figures) string { return fmt.Sprintf("%d, %d, %d", f.Volumes, f.Policies, f.Windows) }, ""},
		{"measured for", func(f *figures) string { return fmt.Sprintf("%.0f s", f.Seconds) }, ""},
		{"ready after the start", func(f *figures) string { return fmt.Sprintf("%.1f s", f.ReadySecs) }, ""},
		{"syncs answered", func(f *figures) string {
			return fmt.Sprintf("%d (%.1f a second)", f.Syncs, float64(f.Syncs)/max(1, f.Seconds))
		}, ""},
		{"not answered with 200", func(f *figures) string { return strconv.Itoa(f.Errors) }, "0"},
		{"ms, p50/p90/p99/max", func(f *figures) string { return percentiles(f.Latency) }, "api, 10 000: p99 50"},
		{"  while no source was read", func(f *figures) string {
			return fmt.Sprintf("%s, %d syncs", percentiles(f.Undisturbed), f.UndisturbedSyncs)
		}, "the same"},
		{"  after the last byte was sent", func(f *figures) string { return percentiles(f.Wait) }, ""},
		{"  by the service's own histogram", func(f *figures) string { return percentiles(f.Own) }, ""},
		{"CPU", func(f *figures) string {
			return fmt.Sprintf("%.1f s, %.0f%% of the limit", f.CPUSeconds, 100*f.CPUShare)
		}, ""},
		{"  kept waiting by the limit", func(f *figures) string { return fmt.Sprintf("%.1f s", f.Throttled) }, ""},
		{"  threads ready and not run", func(f *figures) string { return fmt.Sprintf("%.1f s", f.Queued) }, ""},
		{"  garbage collections", func(f *figures) string { return strconv.Itoa(f.Collections) }, ""},
		{"  a sync, with all else", func(f *figures) string { return fmt.Sprintf("%.1f ms", f.PerSync) }, ""},
		{"  token scan of a whole request", func(f *figures) string {
			return fmt.Sprintf("%.0f ms for %.1f MiB", f.Scan, inMiB(f.ScanBytes))
		}, ""},
		{"  a sync in token scans", func(f *figures) string { return fmt.Sprintf("%.3f", f.XScan) }, "requests: 1.5"},
		{"peak memory (working set)", func(f *figures) string {
			if f.WorkingMiB == 0 {
				return "not known"
			}
			return fmt.Sprintf("%.0f MiB", f.WorkingMiB)
		}, "below 256 MiB"},
		{"  resident, with the program itself", func(f *figures) string { return fmt.Sprintf("%.0f MiB", f.PeakMiB) }, ""},
		{"  in use after a collection", func(f *figures) string { return fmt.Sprintf("%.0f MiB", f.HeapMiB) }, ""},
		{"bytes of a sync, in and out", func(f *figures) string { return fmt.Sprintf("%d, %d", f.BytesIn, f.BytesOut) }, ""},
		{"Prometheus queries a round", func(f *figures) string {
			return fmt.Sprintf("%d (%.1f MiB), %d rounds", f.Queries, f.QueryMiB, f.QueryRounds)
		}, "3 a window"},
		{"  the slowest answer", func(f *figures) string { return fmt.Sprintf("%.1f s", f.QuerySlowest) }, ""},
		{"readings that failed", func(f *figures) string { return strconv.Itoa(f.FailedReadings) }, "0"},
		{"Mayastor requests a round", func(f *figures) string {
			return fmt.Sprintf("%.1f (%.1f MiB), %d rounds", f.MayastorCalls, f.MayastorMiB, f.MayastorRounds)
		}, "pages + 3"},
		{"Kubernetes lists, watches", func(f *figures) string {
			if f.Mode != apiMode {
				return "none"
			}
			return fmt.Sprintf("%d, %d (%.1f MiB)", f.APILists, f.APIWatches, f.APIMiB)
		}, ""},
		{"statuses written, nothing new", func(f *figures) string { return strconv.Itoa(f.QuietStatusWrites) }, "0"},
		{"statuses written in the run", func(f *figures) string { return strconv.Itoa(f.StatusWrites) }, ""},
		{"volumes new, gone, changed", func(f *figures) string { return fmt.Sprintf("%d, %d, %d", f.Created, f.Deleted, f.Changed) }, ""},
		{"moves", func(f *figures) string { return movesText(f.Moves) }, "0 failed"},
		{"volumes watched, unknown", func(f *figures) string { return fmt.Sprintf("%d, %d", f.Watched, f.Unknown) }, ""},
		{"GOMAXPROCS, priority (nice)", func(f *figures) string { return fmt.Sprintf("%d, %d", f.MaxProcs, f.Nice) }, ""},
	}
}

func movesText(moves map[mayastor.State]int) string {
	var words []string
	for state, n := range moves {
		words = append(words, fmt.Sprintf("%d %s", n, state))
	}
	slices.Sort(words)
	return cmp.Or(strings.Join(words, ", "), "none")
}

// printColumns prints lines of fields as columns.
func printColumns(w io.Writer, lines [][]string) {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, field := range line {
			widths[i] = max(widths[i], len(field))
		}
	}
	for _, line := range lines {
		var b strings.Builder
		for i, field := range line {
			fmt.Fprintf(&b, "%-*s  ", widths[i], field)
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// printRows prints the lines of the table in the README.
func printRows(w io.Writer, all []*figures) {
	fmt.Fprint(w, "\n| volumes | mode | syncs | p50 | p99 | CPU a sync | in token scans | peak memory | queries a round | Mayastor requests a round |\n")
	fmt.Fprint(w, "|---|---|---|---|---|---|---|---|---|---|\n")
	for _, f := range all {
		fmt.Fprintf(w, "| %d | %s | %d | %.0f ms | %.0f ms | %.1f ms | %.2f | %.0f MiB | %d | %.0f |\n",
			f.Volumes, f.Mode, f.Syncs, f.Latency.P50, f.Latency.P99, f.PerSync, f.XScan, f.peak(), f.Queries, f.MayastorCalls)
	}
}

// peak is the most memory that was used, as the kubelet counts it where there is a cgroup.
func (f *figures) peak() float64 { return cmp.Or(f.WorkingMiB, f.PeakMiB) }

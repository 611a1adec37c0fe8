package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/billyronks/couchestor/server"
	"github.com/billyronks/couchestor/server/report"
	"github.com/billyronks/couchestor/server/world"
	"github.com/billyronks/couchestor/tiering"
)

// mostMeasured is for how many of the last moves Prometheus is asked.
const mostMeasured = 40

func newReportCommand() *cobra.Command {
	o := newPreviewOptions()
	file := ""
	cmd := &cobra.Command{
		Use:   "report [POLICY...] [-o FILE]",
		Short: "Write a page that shows what was moved and what it was good for",
		Long: `Write a page that shows what was moved and what it was good for.

The page is one file of HTML that needs nothing else, for a browser, a mail or a
printer: volumes by heat and tier, hot volumes served fast, how full the tiers are and
will be, moves over time, space freed on the hot tier, latency before and after moves,
what holds volumes, the moves that run and are next, and the last results. A source
that is down is named at the top, and what is not known is called so.

It is decided as plan does, on the same sources and by the same flags. Prometheus is
asked for the latency of volumes over the hour before and after each of their last
moves. With --server a running service is asked for what it decided last, and
Prometheus only if --prometheus-url is given, too. It starts nothing and changes
nothing but the file, which it replaces.

Exit status:
  0  the page was written, whatever it says
  1  it failed, and a file that was there is as it was
  2  it was asked wrongly`,
		Example: `  # Everything there is, in a browser.
  couchestor report -o report.html && xdg-open report.html

  # By the eyes of the service, with latencies from Prometheus.
  kubectl -n couchestor-system port-forward deploy/couchestor 8081 &
  kubectl -n monitoring port-forward svc/prometheus 9090 &
  couchestor report --server http://localhost:8081 --prometheus-url http://localhost:9090 -o report.html`,
		ValidArgsFunction: o.completePolicies,
	}
	o.bindAll(cmd, func(f *pflag.FlagSet) {
		f.StringVarP(&file, "output", "o", "", "file to write, which is replaced if it is there; without it, or as -, standard output")
	})
	_ = cmd.MarkFlagFilename("output", "html") // the flag is there
	address := o.serve.prometheusURL
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.validate(cmd); err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
		defer stop()
		in, err := o.reportOn(ctx, cmd, args, o.serve.prometheusURL != address)
		if err != nil {
			return err
		}
		var page bytes.Buffer
		if err := report.New(in).Write(&page); err != nil {
			return err
		}
		if file == "" || file == "-" {
			_, err = page.WriteTo(cmd.OutOrStdout())
			return err
		}
		if err := replace(file, page.Bytes()); err != nil {
			return fmt.Errorf("--output: %w", err)
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "The report is in %s.\n", file)
		return nil
	}
	return cmd
}

// reportOn reads what a report is made of. asked is true if an address of
// Prometheus was given.
func (o *previewOptions) reportOn(ctx context.Context, cmd *cobra.Command, names []string, asked bool) (report.Input, error) {
	in := report.Input{Version: server.ReadBuild().Version}
	var readers *server.Readers
	var err error
	if o.server != "" {
		in.Plans, err = o.serverPlans(ctx, cmd, names)
		if err == nil && asked {
			readers, err = o.readers(cmd)
		}
	} else {
		var p *preview
		if p, err = o.open(ctx, cmd); err == nil {
			readers = p.readers
			in.Plans, err = p.plans(ctx, names)
		}
	}
	if readers != nil {
		defer readers.Close()
	}
	if err != nil {
		return in, err
	}
	in.Effects = report.Effects(in.Plans, time.Now(), world.MinWindow(o.serve.scrape), mostMeasured)
	var read reading
	if readers != nil {
		read = readers.IO
	}
	in.Measured = measure(ctx, newWaiter(cmd.ErrOrStderr()), read, in.Plans, in.Effects)
	in.At = time.Now()
	return in, ctx.Err()
}

// reading reads what one volume did from one time to another.
type reading func(ctx context.Context, volume string, from, to time.Time) (world.IO, error)

const (
	// measuring is how long Prometheus is asked for all moves together.
	measuring = time.Minute
	// leastCovered is how much of a time, in percent, samples must cover for its
	// mean to be shown: what a policy asks of a score by default.
	leastCovered = 80
)

// measure fills in what volumes did around their moves, and says how that went.
// read nil means that nobody is to be asked.
func measure(ctx context.Context, wait *waiter, read reading, plans []tiering.Explanation, effects []report.Effect) tiering.SourceExplanation {
	var open []*report.Stretch
	volumes := make(map[*report.Stretch]string)
	for i := range effects {
		for _, s := range []*report.Stretch{&effects[i].Before, &effects[i].After} {
			if s.Missing == "" {
				open = append(open, s)
				volumes[s] = effects[i].Volume
			}
		}
	}
	source := tiering.SourceExplanation{Name: "Prometheus"}
	giveUp := func(reason, message, missing string) tiering.SourceExplanation {
		for _, s := range open {
			s.Missing = missing
		}
		source.Reason, source.Message = reason, message
		return source
	}
	if len(open) == 0 {
		source.OK, source.Message = true, "There is no move to ask for."
		return source
	}
	if read == nil {
		return giveUp(report.NotAsked, "Prometheus was not asked, as the service alone was (--server); give --prometheus-url, too, to have latencies.", "Prometheus was not asked")
	}
	if reason := unreached(plans); reason != "" {
		return giveUp(reason, "Prometheus was not reached for the scores, so it was not asked again.", "Prometheus was not reached")
	}
	defer wait.on("Prometheus, for the latency around moves")()
	bounded, cancel := context.WithTimeout(ctx, measuring)
	defer cancel()
	all := len(open)
	for len(open) > 0 {
		io, err := read(bounded, volumes[open[0]], open[0].From, open[0].To)
		switch {
		case err != nil && bounded.Err() != nil:
			return giveUp(world.TimedOut, fmt.Sprintf("Prometheus was asked for %s and answered %d of %d questions in that time; it is slow, so report on fewer policies or ask it at a calmer time.", measuring, all-len(open), all), "Prometheus was too slow")
		case err != nil:
			return giveUp(world.QueryFailed, err.Error(), "Prometheus did not answer")
		}
		fill(open[0], io)
		open = open[1:]
	}
	source.OK, source.Message = true, fmt.Sprintf("Prometheus answered all %d questions.", all)
	return source
}

func fill(s *report.Stretch, io world.IO) {
	switch {
	case io.CoveragePercent <= 0:
		s.Missing = "Prometheus has no samples of that time"
	case io.CoveragePercent < leastCovered:
		s.Missing = fmt.Sprintf("samples cover only %.0f %% of that time", io.CoveragePercent)
	default:
		s.IOPS, s.LatencyMicroseconds = io.IOPS, io.LatencyMicroseconds
	}
}

// unreached is why no plan could ask Prometheus, "" if one could.
func unreached(plans []tiering.Explanation) string {
	reason := ""
	for i := range plans {
		for _, s := range plans[i].Sources {
			if s.Name != "Prometheus" {
				continue
			}
			switch s.Reason {
			case world.Unreachable, world.TimedOut, world.Unauthorized:
				reason = s.Reason
			default:
				return ""
			}
		}
	}
	return reason
}

// replace writes a file as a whole or not at all. What is there and is no file,
// such as a pipe, is written to.
func replace(file string, content []byte) error {
	mode := fs.FileMode(0o644)
	if info, err := os.Lstat(file); err == nil {
		if !info.Mode().IsRegular() {
			return os.WriteFile(file, content, mode)
		}
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".couchestor-report-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	for _, step := range []func() error{
		func() error { return f.Chmod(mode) }, f.Close, func() error { return os.Rename(f.Name(), file) },
	} {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
	return err
}

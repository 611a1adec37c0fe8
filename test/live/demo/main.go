package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/billyronks/couchestor/test/live/program"
)

// limit bounds the whole play, after the build.
const limit = 120 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// flags are what the caller decides.
type flags struct {
	binary  string
	keep    string
	verbose bool
	linger  bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	var f flags
	set := flag.NewFlagSet("demo", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&f.binary, "binary", "", "the couchestor binary; it is built if this is empty")
	set.StringVar(&f.keep, "keep", "", "keep logs, journals, samples and the last sync request of each policy in this directory")
	set.BoolVar(&f.linger, "linger", false, "after the play leave everything running until Ctrl-C, to be asked with couchestor plan and explain")
	set.BoolVar(&f.verbose, "verbose", false, "also write what service and migrators log, to stderr")
	if err := set.Parse(args); err != nil {
		return err
	}
	dir, err := program.Dir(f.keep, "demo")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil || f.keep != "" {
			fmt.Fprintln(stderr, "logs and journals are in", dir)
			return
		}
		err = os.RemoveAll(dir)
	}()
	if f.binary, err = program.Find(ctx, f.binary, dir, stderr); err != nil {
		return err
	}

	began := time.Now()
	if !f.linger {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("the play did not end within %s", limit))
		defer cancel()
	}
	voice := newVoice(stdout)
	report, err := play(ctx, f, dir, voice, stderr)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
			return cause
		}
		return err
	}
	report.Seconds = float64(time.Since(began).Milliseconds()/100) / 10
	line, err := json.Marshal(report.figures)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, string(line))
	if len(report.faults) > 0 {
		return fmt.Errorf("%d of the checks failed; the table above says which", len(report.faults))
	}
	return nil
}

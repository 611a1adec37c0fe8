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
	"path/filepath"
	"syscall"
	"time"

	"github.com/billyronks/couchestor/test/live/program"
)

func main() {
	if probing() {
		probe()
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

// The modes of the service.
const (
	requestsMode = "requests"
	apiMode      = "api"
	bothModes    = "both"
)

// options are what the caller decides.
type options struct {
	binary, keep string
	mode         string
	lasts        time.Duration
	volumes      int
	policies     int
	every        time.Duration
	churn        int
	crossing     time.Duration
	noCgroup     bool
	// nice is what the service inherits.
	nice int
}

func (o *options) parse(args []string, stderr io.Writer) error {
	set := flag.NewFlagSet("load", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.StringVar(&o.binary, "binary", "", "the couchestor binary; it is built if this is empty")
	set.StringVar(&o.keep, "keep", "", "keep the service's log, the migrators' and the samples in this directory")
	set.StringVar(&o.mode, "mode", bothModes, "requests: volumes come with each request; api: the service reads them from Kubernetes; both: one after the other")
	set.DurationVar(&o.lasts, "for", 5*time.Minute, "how long each mode is measured")
	set.IntVar(&o.volumes, "volumes", 10_000, "volumes of the cluster")
	set.IntVar(&o.policies, "policies", 0, "StoragePolicies, over three sampling windows; 20 if it is not set, or one for ten volumes of fewer than 200")
	set.DurationVar(&o.every, "every", 30*time.Second, "each policy is asked for at least so often; the CompositeController's resync is 300s")
	set.IntVar(&o.churn, "churn", 5, "changes of volumes in each second: one of five is a volume created, one a volume deleted")
	set.DurationVar(&o.crossing, "crossing", 3*time.Second, "one volume crosses a watermark so often, and is to be moved")
	set.BoolVar(&o.noCgroup, "no-cgroup", false, "do not look for cgroups; ask the Go runtime to keep to the limits")
	if err := set.Parse(args); err != nil {
		return err
	}
	given := false
	set.Visit(func(f *flag.Flag) { given = given || f.Name == "policies" })
	if !given {
		o.policies = max(1, min(20, o.volumes/10))
	}
	return o.fault()
}

func (o *options) fault() error {
	switch {
	case o.mode != requestsMode && o.mode != apiMode && o.mode != bothModes:
		return fmt.Errorf("--mode is %q; give requests, api or both", o.mode)
	case o.volumes < 50:
		return fmt.Errorf("--volumes is %d; give at least 50", o.volumes)
	case o.policies < 1 || o.policies > o.volumes/10:
		return fmt.Errorf("--policies is %d; give one for at least 10 volumes each", o.policies)
	case o.mode != apiMode && o.volumes > 25_000:
		return fmt.Errorf("--volumes is %d, and a request with all of them would be longer than the 128 MiB that --max-body of the service takes; give --mode api", o.volumes)
	case o.lasts < time.Second || o.every < time.Second || o.crossing < 100*time.Millisecond || o.churn < 0:
		return errors.New("--for and --every are at least 1s, --crossing is 100ms, --churn is 0")
	}
	return nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o := options{nice: niceOf(0)}
	if err := o.parse(args, stderr); err != nil {
		return err
	}
	dir, err := program.Dir(o.keep, "load")
	if err != nil {
		return err
	}
	defer func() {
		if o.keep != "" {
			fmt.Fprintln(stderr, "logs and samples are in", dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	if o.binary, err = program.Find(ctx, o.binary, dir, stderr); err != nil {
		return err
	}
	modes := []string{o.mode}
	if o.mode == bothModes {
		modes = []string{requestsMode, apiMode}
	}
	var all []*figures
	for _, mode := range modes {
		f, err := measure(ctx, o, mode, filepath.Join(dir, mode), stderr)
		switch {
		case f == nil || ctx.Err() != nil:
			return fmt.Errorf("mode %s: %w", mode, err)
		case err != nil:
			f.Broken = append(f.Broken, err.Error())
		}
		all = append(all, f)
	}
	return tell(stdout, all)
}

// tell prints the table, the rows for the README and one line of JSON, and fails
// if a budget was not kept.
func tell(w io.Writer, all []*figures) error {
	printTable(w, all)
	printRows(w, all)
	line, err := json.Marshal(all)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%s\n", line)
	broken := 0
	for _, f := range all {
		broken += len(f.Broken)
	}
	if broken > 0 {
		return fmt.Errorf("%d of the checks failed; the table above says which", broken)
	}
	return nil
}

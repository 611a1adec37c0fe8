// Command prometheusd is a real Prometheus as a process of its own, for tests in
// modules that should not depend on it. It scrapes the URLs it is given, prints its
// own address as the first line of standard output, and ends by SIGTERM.
//
//	prometheusd --dir DIR --interval 1s node-1=http://127.0.0.1:8081/metrics/node-1 ...
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/billyronks/couchestor/test/live/prometheus"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "prometheusd:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("prometheusd", flag.ContinueOnError)
	dir := flags.String("dir", "", "directory of the TSDB")
	interval := flags.Duration("interval", time.Second, "time between two scrapes of a target")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var targets []prometheus.Target
	for _, arg := range flags.Args() {
		instance, url, ok := strings.Cut(arg, "=")
		if !ok {
			return fmt.Errorf("target %q: give it as instance=url", arg)
		}
		targets = append(targets, prometheus.Target{URL: url, Labels: map[string]string{"instance": instance}})
	}
	p, err := prometheus.Start(ctx, prometheus.Config{
		Dir: *dir, ScrapeInterval: *interval, Targets: func() []prometheus.Target { return targets },
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, p.URL())
	<-ctx.Done()
	return p.Close()
}

// Command contractdriver runs the contract driver where Metacontroller would run:
// beside a real API server. Its flags are those of Metacontroller 4.17.2, as far
// as it has a use for them, so that tests start either program alike.
//
//	contractdriver --kubeconfig FILE [--resolve name.namespace:port=host:port]...
//
// It logs JSON to the standard error and ends on SIGTERM.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/billyronks/couchestor/test/driver/kube"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:], os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "contractdriver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stderr io.Writer) error {
	o := kube.Options{Services: map[string]string{}, Log: slog.New(slog.NewJSONHandler(stderr, nil))}
	flags := flag.NewFlagSet("contractdriver", flag.ContinueOnError)
	flags.SetOutput(stderr)
	kubeconfig := flags.String("kubeconfig", os.Getenv("KUBECONFIG"), "how to reach the API server, and as whom")
	qps := flags.Float64("client-go-qps", 5, "calls of the API server in a second")
	burst := flags.Int("client-go-burst", 10, "calls of the API server at once")
	flags.DurationVar(&o.Refresh, "discovery-interval", 0, "how long an answer of discovery holds; 0 is 30 s")
	flags.IntVar(&o.Workers, "workers", 5, "parents that each controller syncs at once")
	flags.Func("resolve", "`name.namespace:port=host:port`, in place of the cluster's DNS; may be repeated", func(s string) error {
		service, address, found := strings.Cut(s, "=")
		if !found {
			return fmt.Errorf("%q is not name.namespace:port=host:port", s)
		}
		o.Services[service] = address
		return nil
	})
	for _, name := range []string{"metrics-address", "health-probe-bind-address", "pprof-address", "zap-log-level", "zap-encoder", "cache-flush-interval"} {
		flags.String(name, "", "accepted, not used")
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	cfg.QPS, cfg.Burst = float32(*qps), *burst
	return kube.Run(ctx, cfg, o)
}

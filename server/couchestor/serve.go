package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/server"
	"github.com/billyronks/couchestor/server/world"
	"github.com/billyronks/couchestor/tiering"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	listen, ops     string
	tlsCert, tlsKey string

	prometheusURL, prometheusHTTP    string
	prometheusTimeout, scrape, cache time.Duration
	mayastor                         mayastorFlags

	moves  int
	rate   rate
	settle time.Duration
	dryRun bool
	floors hooks.Floors

	governance string

	template, namespace, image string
	volumesFrom                volumesFrom
	kubeconfig                 string
	claimLabels                bool
	diskPools                  string
	maxBody                    size

	logLevel  level
	logFormat string
}

func newServeCommand() *cobra.Command {
	o := serveOptions{maxBody: 128 << 20, rate: 100 << 20, volumesFrom: fromRelated}
	env := settings{plain: map[string]string{
		"prometheus-url":            "PROMETHEUS_URL",
		"mayastor-url":              "MAYASTOR_URL",
		"max-concurrent-migrations": "MAX_CONCURRENT_MIGRATIONS",
		"dry-run":                   "DRY_RUN",
	}}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Answer Metacontroller's hooks",
		Long: `Answer Metacontroller's hooks.

The service is asked "what should exist?" for each StoragePolicy and answers with
Jobs and status. It reads Prometheus and Mayastor and changes nothing itself; the
Jobs do. It keeps nothing on disk, so it may be killed, restarted or run twice at any
time.

Volumes, claims, policies and Jobs come with each request, and the service needs no
permission in Kubernetes. With more than about 500 volumes such requests get long:
with --volumes-from=api it reads these objects itself, and DiskPools where there are
any, for which its service account has to be allowed to list and watch them. The
mode may be changed at any time; from api back to related syncs are refused for up to
20 minutes, until Metacontroller, or a restart of it, sends the objects again.

Jobs are told --mayastor-url, --mayastor-version, --mayastor-token-file,
--mayastor-ca-file and --max-concurrent-migrations as they are given here; the files
have to be at the same paths in their pods, which --job-template can see to.

With --config policies are held to what the cluster's operators decided: dry runs
of new and changed policies, approved ranges, limits, maintenance windows, freeze
and emergency stop. It is read again when it changes. While it cannot be read the
last good one stays in force; if there was none, nothing new starts.

The audit trail is written to standard output, one JSON object a line; the log goes
to standard error.

Two addresses are listened on:
  --listen-address  /hooks/1/sync, /hooks/1/finalize, /hooks/1/customize
  --ops-address     /explain, /readyz, /livez, /healthz, /metrics

/readyz answers 200 once Prometheus and Mayastor were each tried once and Kubernetes,
if it is read, was. It stays so while one of them is down: then no new move starts, running ones go on, and the
status of each policy says why.

SIGTERM or Ctrl-C ends it: what is being answered is finished, for up to 20 seconds.`,
		Example: `  # In a cluster, where the defaults fit a usual installation.
  couchestor serve --job-image registry.example/couchestor:v1

  # On a desk, against a Prometheus and a Mayastor made reachable by port-forward.
  # Nothing is ever moved.
  couchestor serve --dry-run --log-format text \
    --prometheus-url http://localhost:9090 --mayastor-url http://localhost:8082
  curl --data @request.json localhost:8080/hooks/1/sync`,
		Args: cobra.NoArgs,
	}
	o.bind(cmd.Flags())
	env.adopt(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		faults := env.read(cmd)
		cfg, err := o.config(cmd.OutOrStdout(), cmd.ErrOrStderr())
		if err := errors.Join(faults, err); err != nil {
			return exitError{code: exitUsage, err: err}
		}
		srv, err := server.New(cfg)
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
		defer stop()
		// A second signal ends the process at once.
		context.AfterFunc(ctx, stop)
		return srv.Run(ctx)
	}
	return cmd
}

func (o *serveOptions) bind(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&o.listen, "listen-address", ":8080", "host:port for Metacontroller's hooks")
	f.StringVar(&o.ops, "ops-address", ":8081", "host:port for health and metrics")
	f.StringVar(&o.tlsCert, "tls-cert-file", "", "certificate, as PEM, with which the hooks answer by TLS 1.2 or newer; it is for the name couchestor.couchestor-system, and may be renewed while the service runs")
	f.StringVar(&o.tlsKey, "tls-key-file", "", "its key, as PEM; without both the hooks answer by plain HTTP")

	f.StringVar(&o.prometheusURL, "prometheus-url", "http://prometheus.monitoring.svc.cluster.local:9090", "Prometheus, or what speaks its query API")
	f.StringVar(&o.prometheusHTTP, "prometheus-http-config", "", "file with credentials and certificates for it, written like the HTTP client section of Prometheus' own configuration")
	f.DurationVar(&o.prometheusTimeout, "prometheus-timeout", 30*time.Second, "time for the queries of one sampling window; 60s for more than 500 volumes")
	f.DurationVar(&o.scrape, "scrape-interval", time.Minute, "how often Prometheus scrapes Mayastor's exporter")
	f.DurationVar(&o.cache, "cache-ttl", 30*time.Second, "how long what Prometheus and Mayastor said is used without asking again; 60s for more than 500 volumes")
	o.mayastor.bind(f)

	f.IntVar(&o.moves, "max-concurrent-migrations", 2, "moves that may run at once, over all policies; 4 for more than 100 volumes, 8 for more than 500")
	f.Var(&o.rate, "rebuild-rate", "expected speed of a rebuild; a move that would not end within the policy's migrationTimeout is not begun")
	f.DurationVar(&o.settle, "settle-time", 10*time.Minute, "how long a pool and its node must have been online before anything is moved there")
	f.BoolVar(&o.dryRun, "dry-run", false, "decide and report, start nothing, whatever the policies say; moves that run are finished")
	f.DurationVar(&o.floors.SamplingWindow, "min-sampling-window", 0, "shortest samplingWindow a policy may set; 0 means five scrape intervals, which is the least in any case")
	f.DurationVar(&o.floors.CooldownPeriod, "min-cooldown-period", 10*time.Minute, "shortest cooldownPeriod a policy may set")
	f.DurationVar(&o.floors.MigrationTimeout, "min-migration-timeout", time.Minute, "shortest migrationTimeout a policy may set")

	f.StringVar(&o.governance, "config", "", "governance configuration: the directory where ConfigMap couchestor-governance is mounted, or a YAML file with the same keys; without it policies act at once")

	f.StringVar(&o.template, "job-template", "", "file with the Job to use instead of the built-in one: image, resources, tolerations and so on")
	f.StringVar(&o.namespace, "job-namespace", "couchestor-system", "namespace of the Jobs")
	f.StringVar(&o.image, "job-image", "couchestor:latest", "image of the Jobs where --job-template names none: that of this program")
	f.Var(&o.volumesFrom, "volumes-from", "related: Metacontroller sends all volumes with each request; api: read them from Kubernetes, for more than about 500 volumes")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig for --volumes-from=api; without it $KUBECONFIG, ~/.kube/config and the pod's own service account are tried, in this order")
	f.BoolVar(&o.claimLabels, "claim-labels", true, "let volumeSelector see the labels of claims; without, no PersistentVolumeClaims are read")
	f.StringVar(&o.diskPools, "diskpools", "", "group/version in which the cluster serves DiskPools, to add their labels to the pools'; one that is not served stops every sync. With --volumes-from=api the version is found out, and this is left out or auto")
	f.Var(&o.maxBody, "max-body", "longest hook request")

	f.Var(&o.logLevel, "log-level", "debug, info, warn or error")
	f.StringVar(&o.logFormat, "log-format", "json", "json or text")
}

// config is what the flags ask for; the error is every fault of it.
func (o *serveOptions) config(stdout, stderr io.Writer) (server.Config, error) {
	var faults []error
	note := func(flag string, err error) {
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", flag, err))
		}
	}
	cfg := server.Config{
		ListenAddress: o.listen, OpsAddress: o.ops,
		TLSCertFile: o.tlsCert, TLSKeyFile: o.tlsKey,
		PrometheusURL: o.prometheusURL, PrometheusTimeout: o.prometheusTimeout,
		ScrapeInterval: o.scrape, CacheTTL: o.cache,
		MayastorVersion: o.mayastor.version, GovernancePath: o.governance,
	}
	var err error
	if o.prometheusHTTP != "" {
		cfg.PrometheusHTTP, err = world.LoadHTTPConfig(o.prometheusHTTP)
		note("--prometheus-http-config", err)
	}
	if cfg.Mayastor, err = o.mayastor.config(); err != nil {
		faults = append(faults, err)
	}
	if cfg.Log, err = o.log(stderr); err != nil {
		faults = append(faults, err)
	}
	if err := cfg.Validate(); err != nil {
		faults = append(faults, err)
	}
	if cfg.Kubernetes, err = o.kubernetes(); err != nil {
		faults = append(faults, err)
	}
	cfg.Claims = o.claimLabels

	cfg.Audit = mayastor.NewAuditLog(stdout, slog.LevelInfo).With("actor", actor())
	hc := o.hooksConfig(cfg.Log)
	hc.Audit = cfg.Audit
	if o.template != "" {
		text, err := os.ReadFile(o.template)
		note("--job-template", err)
		if err == nil {
			hc.Template, err = hooks.ParseJobTemplate(text)
			note("--job-template", err)
		}
	}
	cfg.Hooks = func(p server.Parts) (http.Handler, error) {
		hc.Sources, hc.Cluster, hc.Ready, hc.Observer = p.Sources, p.Cluster, p.Ready, p.Observer
		hc.Governance = p.Governance
		h, err := hooks.New(hc)
		if err != nil {
			return nil, err
		}
		return h.Routes(), nil
	}
	// Once on trial, so that its faults are told with all others.
	trial := hc
	trial.Sources = noSources{}
	if _, err := hooks.New(trial); err != nil {
		faults = append(faults, err)
	}
	return cfg, errors.Join(append(faults, o.faults()...)...)
}

// faults are those that nobody else tells.
func (o *serveOptions) faults() []error {
	var faults []error
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"settle-time", o.settle},
		{"min-sampling-window", o.floors.SamplingWindow},
		{"min-cooldown-period", o.floors.CooldownPeriod},
		{"min-migration-timeout", o.floors.MigrationTimeout},
	} {
		if d.value < 0 {
			faults = append(faults, fmt.Errorf("--%s is %s; give 0 or more", d.flag, d.value))
		}
	}
	if o.maxBody < minMaxBody {
		faults = append(faults, fmt.Errorf("--max-body is %s, and a request with a few volumes is longer; give at least %s", &o.maxBody, formatSize(minMaxBody)))
	}
	if o.rate < minRate {
		faults = append(faults, fmt.Errorf("--rebuild-rate is %s, at which nothing would ever fit in its time; give at least %s/s", &o.rate, formatSize(minRate)))
	}
	return faults
}

const (
	minMaxBody = 64 << 10
	minRate    = 64 << 10
)

func (o *serveOptions) hooksConfig(log *slog.Logger) hooks.Config {
	floors := o.floors
	floors.SamplingWindow = max(floors.SamplingWindow, world.MinWindow(o.scrape))
	return hooks.Config{
		Namespace: o.namespace, Image: o.image, JobArgs: o.jobArgs(),
		Limits: tiering.Limits{
			MaxConcurrentMigrations: o.moves, RebuildBytesPerSecond: int64(o.rate),
			Settle: o.settle, DryRun: o.dryRun,
		},
		Floors: floors, MaxBody: int64(o.maxBody),
		ClaimLabels: o.claimLabels, DiskPools: o.relatedDiskPools(),
		Log: log,
	}
}

// jobArgs are what every Job is told of the service's own settings.
func (o *serveOptions) jobArgs() []string {
	args := []string{
		"--mayastor-url=" + o.mayastor.url,
		"--max-concurrent-migrations=" + strconv.Itoa(o.moves),
	}
	for _, f := range []struct{ flag, value string }{
		{"mayastor-version", o.mayastor.version},
		{"mayastor-token-file", o.mayastor.tokenFile},
		{"mayastor-ca-file", o.mayastor.caFile},
	} {
		if f.value != "" {
			args = append(args, "--"+f.flag+"="+f.value)
		}
	}
	return args
}

// log writes to stderr, as stdout is for results.
func (o *serveOptions) log(stderr io.Writer) (*slog.Logger, error) {
	opts := &slog.HandlerOptions{Level: o.logLevel.Level}
	switch o.logFormat {
	case "json":
		return slog.New(slog.NewJSONHandler(stderr, opts)), nil
	case "text":
		return slog.New(slog.NewTextHandler(stderr, opts)), nil
	}
	return slog.New(slog.DiscardHandler), fmt.Errorf("--log-format is %q; give json or text", o.logFormat)
}

// level is a flag's log level.
type level struct{ slog.Level }

func (l *level) Set(text string) error {
	if err := l.UnmarshalText([]byte(text)); err != nil {
		return errors.New("which is no level; give debug, info, warn or error")
	}
	return nil
}

func (l *level) String() string { return strings.ToLower(l.Level.String()) }
func (l *level) Type() string   { return "level" }

// noSources know nothing.
type noSources struct{}

func (noSources) Scores(context.Context, time.Duration) tiering.Scores { return tiering.Scores{} }
func (noSources) Mayastor(context.Context) hooks.Mayastor              { return hooks.Mayastor{} }

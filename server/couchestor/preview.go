package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/server"
	"github.com/billyronks/couchestor/server/explain"
	"github.com/billyronks/couchestor/tiering"
)

// previewOptions are the flags of plan, explain and report: where what is decided on
// comes from, and how it is printed.
type previewOptions struct {
	// serve has the flags that speak of sources and limits, so that they mean the
	// same as those of the service.
	serve serveOptions
	env   settings

	files      []string
	request    string
	kubeconfig string
	server     string
	output     string
}

// sharedFlags are the flags of serve that a preview has, too.
var sharedFlags = []string{ //nolint:gochecknoglobals // a list that is never changed
	"prometheus-url", "prometheus-http-config", "prometheus-timeout", "scrape-interval",
	"mayastor-url", "mayastor-version", "mayastor-token-file", "mayastor-ca-file",
	"max-concurrent-migrations", "rebuild-rate", "claim-labels", "job-namespace",
	"min-sampling-window", "min-cooldown-period", "min-migration-timeout", "config",
}

func newPreviewOptions() *previewOptions {
	return &previewOptions{
		serve:  serveOptions{maxBody: 128 << 20, rate: 100 << 20, volumesFrom: fromRelated},
		output: "text",
		env: settings{
			plain: map[string]string{
				"prometheus-url": "PROMETHEUS_URL", "mayastor-url": "MAYASTOR_URL",
				"max-concurrent-migrations": "MAX_CONCURRENT_MIGRATIONS",
			},
			only: func(flag string) bool { return slices.Contains(sharedFlags, flag) || flag == "server" },
		},
	}
}

// bind adds the flags to cmd.
func (o *previewOptions) bind(cmd *cobra.Command) {
	formats := []string{"text", "wide", "json", "yaml"}
	o.bindAll(cmd, func(f *pflag.FlagSet) {
		f.StringVarP(&o.output, "output", "o", formats[0], "text, wide, json or yaml")
	})
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
}

// bindAll adds the flags to cmd, with its own ones for the output.
func (o *previewOptions) bindAll(cmd *cobra.Command, output func(*pflag.FlagSet)) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVarP(&o.files, "filename", "f", nil, "file with StoragePolicies that count as applied; - is standard input; may be given several times")
	f.StringVar(&o.request, "request", "", "saved sync request of Metacontroller to take the objects of Kubernetes from; - is standard input")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster to read them from; without it $KUBECONFIG, ~/.kube/config and the pod's own service account are tried, in this order")
	f.StringVar(&o.server, "server", "", "ask a running service for what it decided last, at its --ops-address, such as http://localhost:8081; nothing else is read then")
	output(f)
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.serve.bind(all)
	for _, name := range sharedFlags {
		f.AddFlag(all.Lookup(name))
	}
	f.Lookup("filename").DefValue = "" // not [], which is no file
	f.Lookup("job-namespace").Usage = "namespace of the Jobs and of ConfigMap couchestor-governance"
	f.Lookup("config").Usage = "governance configuration, as serve takes it; without it that of the ConfigMap counts, where a cluster is read"
	o.env.adopt(cmd)
	for flag, kinds := range map[string][]string{"filename": {"yaml", "yml", "json"}, "request": {"json"}} {
		_ = cmd.MarkFlagFilename(flag, kinds...) // the flag is there
	}
}

// validate returns every fault of the flags.
func (o *previewOptions) validate(cmd *cobra.Command) error {
	faults := []error{o.env.read(cmd)}
	if !slices.Contains([]string{"text", "wide", "json", "yaml"}, o.output) {
		faults = append(faults, fmt.Errorf("--output is %q; give text, wide, json or yaml", o.output))
	}
	if o.server != "" && (len(o.files) > 0 || o.request != "" || o.kubeconfig != "") {
		faults = append(faults, errors.New("--server asks for what a service decided by itself, so --filename, --request and --kubeconfig have no say; leave them out, or --server"))
	}
	if o.request != "" && o.kubeconfig != "" {
		faults = append(faults, errors.New("--request and --kubeconfig are both given, and the objects of Kubernetes come from one of them; leave the other out"))
	}
	if n := len(slices.DeleteFunc(append(slices.Clone(o.files), o.request), func(s string) bool { return s != "-" })); n > 1 {
		faults = append(faults, errors.New("standard input can be read once; give - to one flag only"))
	}
	if err := errors.Join(faults...); err != nil {
		return exitError{code: exitUsage, err: err}
	}
	return nil
}

// preview is what can be decided on.
type preview struct {
	objects *hooks.Preview
	// written are the names of the policies of --filename, in their order.
	written []string
	hooks   *hooks.Hooks
	readers *server.Readers
	// source is where the objects of Kubernetes are from.
	source tiering.SourceExplanation
	// governed is what policies are held to; ungoverned says why that is not
	// known, to follow a sentence.
	governed   *tiering.Governed
	ungoverned string
}

// open reads Kubernetes, and gets ready to read the other sources. The caller
// closes the preview.
func (o *previewOptions) open(ctx context.Context, cmd *cobra.Command) (*preview, error) {
	readers, err := o.readers(cmd)
	if err != nil {
		return nil, err
	}
	p, err := o.read(ctx, cmd.InOrStdin(), newWaiter(cmd.ErrOrStderr()))
	if err != nil {
		return nil, err
	}
	p.readers = readers
	now := time.Now()
	for _, file := range o.files {
		text, err := readFile(file, cmd.InOrStdin())
		if err != nil {
			return nil, fmt.Errorf("--filename: %w", err)
		}
		names, err := p.objects.Put(text, now)
		if err != nil {
			return nil, prefixed(file, err)
		}
		p.written = append(p.written, names...)
	}
	hc := o.serve.hooksConfig(slog.New(slog.DiscardHandler))
	// How long pools and nodes are Online only who watches them knows.
	hc.Limits.Settle = 0
	if o.serve.governance != "" {
		p.governed, p.ungoverned = server.ReadGovernance(o.serve.governance), ""
	}
	hc.Governance = func() *tiering.Governed { return p.governed }
	hc.Sources = p.readers
	p.hooks, err = hooks.New(hc)
	return p, err
}

// readers get ready to read Prometheus and Mayastor, and have spoken to neither.
func (o *previewOptions) readers(cmd *cobra.Command) (*server.Readers, error) {
	cfg, err := o.serve.config(io.Discard, io.Discard)
	if err != nil {
		return nil, exitError{code: exitUsage, err: err}
	}
	cfg.Log = slog.New(slog.DiscardHandler)
	r, err := server.NewReaders(cfg)
	if err != nil {
		return nil, err
	}
	r.Waiting = newWaiter(cmd.ErrOrStderr()).on
	return r, nil
}

func (p *preview) close() { p.readers.Close() }

// read reads the objects of Kubernetes, and the governance where it is with them.
func (o *previewOptions) read(ctx context.Context, stdin io.Reader, wait *waiter) (*preview, error) {
	p := &preview{source: tiering.SourceExplanation{Name: "Kubernetes", OK: true, ReadAt: time.Now()}}
	if o.request != "" {
		text, err := readFile(o.request, stdin)
		if err != nil {
			return nil, fmt.Errorf("--request: %w", err)
		}
		if p.objects, err = hooks.ReadPreview(bytes.NewReader(text)); err != nil {
			return nil, fmt.Errorf("--request %s: %w", o.request, err)
		}
		p.source.Message = "From the request saved in " + o.request
		if info, err := os.Stat(o.request); err == nil {
			p.source.ReadAt = info.ModTime()
		}
		p.ungoverned = "a request does not hold the governance of the cluster; give it with --config, if there is one"
	} else {
		cfg, err := o.cluster()
		if err != nil {
			return nil, err
		}
		c, err := server.ReadCluster(ctx, cfg, o.serve.claimLabels, o.serve.namespace, wait.on)
		if err != nil {
			return nil, fmt.Errorf("read Kubernetes at %s: %w", cfg.Host, err)
		}
		p.objects, p.governed, p.ungoverned = c.Objects, c.Governed, c.Ungoverned
		p.source.Message = "From the API server " + cfg.Host
	}
	p.source.Message += fmt.Sprintf(": %d PersistentVolumes of Mayastor, %d claims, %d policies, %d Jobs.",
		p.objects.Count(hooks.Volumes), p.objects.Count(hooks.Claims), p.objects.Count(hooks.Policies), p.objects.Count(hooks.Jobs))
	return p, nil
}

// cluster finds the cluster to read.
func (o *previewOptions) cluster() (*rest.Config, error) {
	cfg, err := loadCluster(o.kubeconfig)
	switch {
	case clientcmd.IsEmptyConfig(err):
		return nil, exitError{code: exitUsage, err: errors.New("there is no source for the objects of Kubernetes: give --request FILE with a saved sync request, --kubeconfig FILE (or set $KUBECONFIG), or --server URL to ask a running service")}
	case err != nil:
		return nil, exitError{code: exitUsage, err: fmt.Errorf("--kubeconfig: %w", err)}
	}
	return cfg, nil
}

// decide decides on one policy.
func (p *preview) decide(ctx context.Context, policy string) (hooks.Previewed, error) {
	d, err := p.hooks.Preview(ctx, p.objects, policy)
	if err != nil && p.find(policy) != nil {
		return d, p.find(policy)
	}
	return d, err
}

// find says that there is no policy of a name, and which are like it; nil if
// there is one.
func (p *preview) find(policy string) error {
	all := p.objects.Policies()
	if slices.Contains(all, policy) {
		return nil
	}
	return exitError{code: exitUsage, err: errors.New(noPolicy(policy, all))}
}

func noPolicy(policy string, all []string) string {
	if near := explain.Near(policy, all, 3); len(near) > 0 {
		return fmt.Sprintf("there is no policy %s; did you mean %s?", policy, strings.Join(near, ", "))
	}
	if len(all) == 0 {
		return fmt.Sprintf("there is no policy %s, and no other; give one with --filename", policy)
	}
	return fmt.Sprintf("there is no policy %s; there are %s", policy, strings.Join(all, ", "))
}

// explain makes the explanation of what was decided on a policy.
func (p *preview) explain(policy string, d hooks.Previewed) tiering.Explanation {
	e := tiering.ExplainFaults(policy, d.At, d.Status)
	if d.Plan != nil {
		e = d.Plan.Explain(d.Status)
	}
	e.AgeSeconds = max(0, time.Since(d.At).Round(100*time.Millisecond).Seconds())
	e.Sources = append(e.Sources, p.source)
	if d.Plan != nil {
		note := "How long pools and nodes have been Online is known to the running service alone, so the gate settled lets all pass here"
		if p.ungoverned != "" {
			note += "; and " + p.ungoverned
		}
		e.Notes = append(e.Notes, tiering.Note{Type: "NotKnownHere", Message: note + "."})
	}
	return e
}

// volumes are all names that a volume may be asked by, sorted.
func (p *preview) volumes() []string {
	var names []string
	for name, claim := range p.objects.Claims() {
		names = append(names, name)
		if claim != "" {
			names = append(names, claim)
		}
	}
	slices.Sort(names)
	return names
}

// claimed returns the name of the PersistentVolume that a name means.
func (p *preview) claimed(name string) (string, bool) {
	claims := p.objects.Claims()
	if _, ok := claims[name]; ok {
		return name, true
	}
	for _, volume := range slices.Sorted(maps.Keys(claims)) {
		if claims[volume] != "" && claims[volume] == name {
			return volume, true
		}
	}
	return "", false
}

// readFile reads a file, or standard input for -.
func readFile(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}

// prefixed puts the name of a file before each line of an error.
func prefixed(file string, err error) error {
	var all []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		all = append(all, fmt.Errorf("%s: %s", file, line))
	}
	return errors.Join(all...)
}

// print prints a value, or the text of it.
func (o *previewOptions) print(w io.Writer, value any, text func(io.Writer, explain.Style)) error {
	switch o.output {
	case "json":
		return explain.JSON(w, value)
	case "yaml":
		return explain.YAML(w, value)
	}
	s := styleOf(w)
	s.Wide = o.output == "wide"
	var b bytes.Buffer
	text(&b, s)
	_, err := b.WriteTo(w)
	return err
}

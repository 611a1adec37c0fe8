package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/billyronks/couchestor/mayastor"
)

// The exit codes of migrate by hand. As a Job (with --attempt) it exits with 0
// once the result is recorded, whatever it was, and with exitAgain otherwise.
const (
	exitAgain   = 1
	exitUsage   = 2
	exitRefused = 3
	exitFailed  = 4
	exitAborted = 5
)

// migrateOptions are the flags of migrate.
type migrateOptions struct {
	server mayastorFlags

	volume      string
	targets     []string
	policy      string
	generation  int64
	attempt     int64
	from, to    string
	score       float64
	recoverOnly bool
	localLock   string
	cluster     clusterFlags
	dryRun      bool

	snapshots  bool
	reduced    bool
	maxUsed    int
	moves      int
	timeout    time.Duration
	poll       time.Duration
	cache      time.Duration
	stall      time.Duration
	admitWait  time.Duration
	jobName    string
	jobSpace   string
	startBy    string
	logVerbose bool
}

func newMigrateCommand(stdout, stderr io.Writer) *cobra.Command {
	var o migrateOptions
	cmd := &cobra.Command{
		Use:   "migrate --volume UUID --target-pools POOL,...",
		Short: "Move one volume to other pools, replica by replica, online",
		Long: `Move one volume to other pools, replica by replica, online.

Each replica that is not on a target pool is replaced: one is added on a target
pool, its sync is proven, and only then the old one is given up. The volume
never has fewer copies in sync than before. What cannot be done safely is
refused before anything is touched, with a sentence that says why.

It may be interrupted at any time: Ctrl-C brings the volume to a safe rest, and
after a crash the same command resumes from its journal.

Locks and journal are Leases of the cluster, where a kubeconfig or a pod's
service account is found; they keep all migrators of that cluster apart. Without
a cluster they are files, in the directory that --local-lock names.

By hand it exits with 0 when moved, 3 when refused, 4 when failed, 5 when
aborted, 1 when it has to be called again and 2 for bad flags. As a Job (with
--attempt) it exits with 0 once the result is recorded, whatever it was.

The audit trail is written to standard output, one JSON object a line; progress
is written to standard error.`,
		Example: `  # What would be done?
  couchestor migrate --mayastor-url http://localhost:8081 --dry-run \
    --volume 9a12c8de-5f4b-4a36-9d0e-6a1f3c2b7d80 --target-pools nvme-1,nvme-2,nvme-3

  # Do it, with nothing but Mayastor's REST API.
  couchestor migrate --mayastor-url http://localhost:8081 --local-lock /var/tmp/couchestor \
    --volume 9a12c8de-5f4b-4a36-9d0e-6a1f3c2b7d80 --target-pools nvme-1,nvme-2,nvme-3`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), stdout, stderr)
		},
	}
	f := cmd.Flags()
	o.server.bind(f)
	f.StringVar(&o.volume, "volume", "", "uuid of the volume (the PersistentVolume's volumeHandle)")
	f.StringSliceVar(&o.targets, "target-pools", nil, "pools to move to; replicas on them stay")
	f.StringVar(&o.policy, "policy", "", "StoragePolicy that asked for the move")
	f.Int64Var(&o.generation, "policy-generation", 0, "generation of that policy")
	f.Int64Var(&o.attempt, "attempt", 0, "number of the attempt; set by the Job. 0 takes the next number")
	f.StringVar(&o.from, "from-tier", "", "tier the volume is on, for the record")
	f.StringVar(&o.to, "to-tier", "", "tier the volume is to go to, for the record")
	f.Float64Var(&o.score, "score", 0, "IOPS that caused the move, for the record")
	f.BoolVar(&o.recoverOnly, "recover", false, "only bring to rest what an earlier attempt left; begin nothing")
	f.StringVar(&o.localLock, "local-lock", "", "directory for locks and journals. It protects from other migrators that use the same directory on this host; only Mayastor's own state protects the volume from anybody else")
	o.cluster.bind(f)
	f.BoolVar(&o.dryRun, "dry-run", false, "print the steps that would be taken and exit")
	f.BoolVar(&o.snapshots, "move-snapshots", false, "move a volume that has snapshots; they stay behind on the old pools and keep their space")
	f.BoolVar(&o.reduced, "allow-reduced-redundancy", false, "let a volume of 3 or more replicas that has one on every node give one up first; never below 2 copies in sync")
	f.IntVar(&o.maxUsed, "max-pool-used-percent", 90, "do not fill a target pool beyond this share of its capacity")
	f.IntVar(&o.moves, "max-concurrent-migrations", 2, "moves that may run at once among all that share the ledger")
	f.DurationVar(&o.timeout, "timeout", 30*time.Minute, "time for each replica, from the moment it is asked for")
	f.DurationVar(&o.poll, "poll-interval", 5*time.Second, "time between two looks at the volume")
	f.DurationVar(&o.cache, "mayastor-cache-period", 30*time.Second, "how old Mayastor's view of a rebuild may be (base.cache_poll_period of its chart); a replica counts as in sync after two looks this far apart")
	f.DurationVar(&o.stall, "stall-after", 5*time.Minute, "give a rebuild up that makes no progress for so long")
	f.DurationVar(&o.admitWait, "admit-wait", 10*time.Minute, "wait so long for a place among the moves that run")
	f.StringVar(&o.startBy, "start-by", "", "refuse a move that touched nothing by this time, such as 2026-12-28T05:30:00Z, as it would not end before its maintenance window closes")
	f.StringVar(&o.jobName, "job-name", "", "Job that runs this attempt")
	f.StringVar(&o.jobSpace, "job-namespace", defaultJobNamespace, "namespace of that Job and of all Leases")
	f.BoolVarP(&o.logVerbose, "verbose", "v", false, "also write why the migrator waits")
	return cmd
}

// validate returns every fault of the flags.
func (o *migrateOptions) validate() error {
	var errs []error
	if o.volume == "" {
		errs = append(errs, errors.New("--volume is missing: give the uuid of the volume, which is its PersistentVolume's spec.csi.volumeHandle"))
	}
	if o.volume != "" && !mayastor.IsUUID(o.volume) {
		errs = append(errs, fmt.Errorf("--volume is %q, which is no uuid: it must look like 9a12c8de-5f4b-4a36-9d0e-6a1f3c2b7d80", o.volume))
	}
	if len(o.targets) == 0 && !o.recoverOnly {
		errs = append(errs, errors.New("--target-pools is missing: name the pools to move to, as in --target-pools nvme-1,nvme-2"))
	}
	if !o.dryRun {
		errs = append(errs, o.validateLedger())
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"timeout", o.timeout}, {"poll-interval", o.poll}, {"stall-after", o.stall}} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("--%s is %s: it must be longer than zero", d.flag, d.value))
		}
	}
	if _, err := o.window(); err != nil {
		errs = append(errs, err)
	}
	if o.cache < 0 {
		errs = append(errs, fmt.Errorf("--mayastor-cache-period is %s: it cannot be negative", o.cache))
	}
	if o.maxUsed < 1 || o.maxUsed > 100 {
		errs = append(errs, fmt.Errorf("--max-pool-used-percent is %d: it must be 1 to 100", o.maxUsed))
	}
	return errors.Join(errs...)
}

func (o *migrateOptions) ask() mayastor.Ask {
	return mayastor.Ask{
		Targets: slices.Sorted(slices.Values(o.targets)), MoveSnapshots: o.snapshots,
		AllowReduced: o.reduced, MaxUsedPercent: o.maxUsed,
	}
}

func (o *migrateOptions) run(ctx context.Context, stdout, stderr io.Writer) error {
	if err := o.validate(); err != nil {
		return exitError{code: exitUsage, err: err}
	}
	cfg, err := o.server.config()
	if err != nil {
		return exitError{code: exitUsage, err: err}
	}
	client, err := mayastor.NewClient(cfg)
	if err != nil {
		return exitError{code: exitUsage, err: err}
	}
	if o.dryRun {
		return o.printSteps(ctx, stdout, client.Reader)
	}
	level := slog.LevelInfo
	if o.logVerbose {
		level = slog.LevelDebug
	}
	log := mayastor.NewAuditLog(stdout, level).With("actor", actor(), "trigger_iops", o.score)
	progress := newProgress(stderr)
	m := &mayastor.Migrator{
		Client: client, Progress: progress.show, Log: log,
		CachePeriod: o.cache, PollInterval: o.poll, Timeout: o.timeout, StallAfter: o.stall, AdmitWait: o.admitWait,
		Claimed: o.server.version, Caps: mayastor.Caps{Moves: o.moves},
	}
	if err := o.meet(m, log); err != nil {
		return err
	}
	o.mind(m)
	// The first signal ends the move at the next safe place, the second one
	// ends the process; what it leaves is resumed from the journal.
	signals, ignore := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer ignore()
	context.AfterFunc(signals, ignore)
	result, err := m.Move(context.WithoutCancel(ctx), signals.Done(), mayastor.Order{
		Volume: o.volume, Ask: o.ask(), N: o.attempt, Policy: o.policy, Generation: o.generation,
		From: o.from, To: o.to, Recover: o.recoverOnly,
	})
	progress.end()
	if err != nil {
		return exitError{code: exitAgain, err: fmt.Errorf("%w; call the same command again, it goes on from the journal", err)}
	}
	code := map[mayastor.State]int{mayastor.Refused: exitRefused, mayastor.Failed: exitFailed, mayastor.Aborted: exitAborted}[result.State]
	if o.attempt != 0 || code == 0 || result.Reason == string(mayastor.ReasonNoRecovery) {
		return nil
	}
	return exitError{code: code, err: fmt.Errorf("%s (%s): %s", result.State, result.Reason, result.Error)}
}

// printSteps prints what a move would do, from the same Route.
func (o *migrateOptions) printSteps(ctx context.Context, w io.Writer, r *mayastor.Reader) error {
	capability, err := r.Capability(ctx, o.server.version)
	if err != nil {
		return err
	}
	vol, err := r.Volume(ctx, o.volume)
	if err != nil {
		return err
	}
	pools, err := r.Pools(ctx)
	if err != nil {
		return err
	}
	nodes, err := r.Nodes(ctx)
	if err != nil {
		return err
	}
	steps, refusals := mayastor.Route(vol, pools, nodes, o.ask(), capability)
	if len(refusals) > 0 {
		var errs []error
		for _, x := range refusals {
			errs = append(errs, fmt.Errorf("%s: %s", x.Reason, x.Sentence))
		}
		return exitError{code: exitRefused, err: fmt.Errorf("the move would be refused:\n%w", errors.Join(errs...))}
	}
	if len(steps) == 0 {
		fmt.Fprintln(w, "Nothing to do: every replica is on a target pool.")
		return nil
	}
	fmt.Fprintf(w, "Volume %s, %d replicas, %s each.\n", o.volume, vol.Spec.NumReplicas, bytesText(vol.Spec.Size))
	for i, s := range steps {
		add := "Add a replica on " + strings.Join(s.Landing, " or ")
		if len(s.Cordon) > 0 {
			add += fmt.Sprintf(" (cordoned for those seconds: %s)", strings.Join(s.Cordon, ", "))
		}
		add += " and wait until it is proven in sync."
		remove := fmt.Sprintf("Give up replica %s on %s", s.Victim.UUID, s.Victim.Pool)
		if s.CordonNode != "" {
			remove += fmt.Sprintf(" (cordoned for those seconds: %s)", s.CordonNode)
		}
		remove += "."
		if s.Kind == mayastor.RemoveFirst {
			add, remove = remove, add
		}
		fmt.Fprintf(w, "%d. %s\n   %s\n", i+1, add, remove)
	}
	return nil
}

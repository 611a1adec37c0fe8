package hooks

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// Config is what the operator of the service decides.
type Config struct {
	// Sources say what Prometheus and Mayastor know.
	Sources Sources
	// Cluster shows the volumes and all else that is related. Nil means that
	// Metacontroller sends that with each request, because customize asks for it.
	Cluster Cluster
	// Ready reports whether each source was tried once, be it in vain, and if
	// not, what is waited for. Until then every sync is answered with 503, as
	// the first answer of a new process must not be made of nothing. Nil means
	// always.
	Ready func() (ok bool, waiting string)
	// Now is the clock; nil means time.Now.
	Now func() time.Time

	// Template is the form of a Job; the zero value is the default.
	Template JobTemplate
	// Namespace is where Jobs are made.
	Namespace string
	// Image is that of the Job's container where the template names none.
	Image string
	// JobArgs are further arguments of every Job, such as Mayastor's address.
	JobArgs []string

	Limits tiering.Limits
	Floors Floors

	// MaxBody is how many bytes a request may have; 0 means 128 MiB.
	MaxBody int64
	// ClaimLabels asks for all PersistentVolumeClaims, so that volumeSelector
	// sees their labels. It is on unless the operator drops it.
	ClaimLabels bool
	// DiskPools is the group and version, as in openebs.io/v1beta3, in which
	// the cluster serves DiskPools; their labels are then added to the pools'.
	// "" leaves them out. A version that is not served stops every sync (MC 4.1).
	// With a Cluster it is of no effect, as is ClaimLabels.
	DiskPools string

	// Governance is what the cluster's operators hold every policy to, as it was
	// last read; nil, and a nil answer, mean that there is none. What it returns
	// is shared and must not be changed. It may be called at once.
	Governance func() *tiering.Governed

	// Log gets faults of this service; nil is silent.
	Log *slog.Logger
	// Audit gets one line for each of [AuditActions]; nil is silent.
	Audit *slog.Logger
	// Observer may be nil.
	Observer Observer
}

// Floors are the shortest durations that a policy may set; 0 is no floor.
type Floors struct {
	SamplingWindow, CooldownPeriod, MigrationTimeout time.Duration
}

// Observer is told what happens. Its methods may be called at once and must
// return quickly.
type Observer interface {
	// Request is called after each request with the hook (sync, finalize or
	// customize), the status of the answer, the bytes read and the time taken.
	Request(hook string, status int, bytes int64, took time.Duration)
	// Decided is called after each sync and finalize that is answered with
	// 200. plan is nil if the policy does not compile; neither it nor the
	// status is changed afterwards.
	Decided(policy string, plan *tiering.Plan, status *tiering.StoragePolicyStatus)
	// Gone is called when a policy was let go.
	Gone(policy string)
}

const (
	defaultMaxBody = 128 << 20
	// decodedAtOnce bounds memory: each sync holds its volumes.
	decodedAtOnce = 2
	// waitForTurn is how long a request waits for one of these places.
	waitForTurn = 5 * time.Second
)

// Hooks answer Metacontroller. They keep nothing between two calls but caches.
type Hooks struct {
	config   Config
	template JobTemplate
	facts    factsCache
	policies policies
	views    boundCache
	attempts attempts
	turns    chan struct{}
	changes  changes
	zones    zones
}

// New checks the configuration and returns all its faults at once.
func New(c Config) (*Hooks, error) {
	var faults []error
	refuse := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	refuse(c.Sources == nil, "hooks: no sources; give the readers of Prometheus and Mayastor")
	refuse(!dnsLabel.MatchString(c.Namespace), "job namespace: %q is no name of a namespace; give the one in which Jobs are to run", c.Namespace)
	refuse(c.MaxBody < 0, "max body: %d bytes is less than nothing; give a size, or 0 for the default", c.MaxBody)
	refuse(c.DiskPools != "" && !groupVersion.MatchString(c.DiskPools),
		"diskpools: %q is no group and version; give the served version, such as openebs.io/v1beta3, or nothing", c.DiskPools)
	refuse(c.Limits.MaxConcurrentMigrations < 1, "max concurrent migrations: %d lets nothing move; give 1 or more", c.Limits.MaxConcurrentMigrations)
	template, err := c.Template.withImage(c.Image)
	if err != nil {
		faults = append(faults, err)
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	c.MaxBody = cmp.Or(c.MaxBody, defaultMaxBody)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Ready == nil {
		c.Ready = func() (bool, string) { return true, "" }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Audit == nil {
		c.Audit = slog.New(slog.DiscardHandler)
	}
	if c.Governance == nil {
		c.Governance = func() *tiering.Governed { return nil }
	}
	if c.Observer == nil {
		c.Observer = unobserved{}
	}
	return &Hooks{config: c, template: template, turns: make(chan struct{}, decodedAtOnce), changes: changes{log: c.Audit}}, nil
}

var (
	dnsLabel     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	groupVersion = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/v[a-z0-9]+$`)
)

func (f Floors) faults(r *tiering.Rules) []error {
	var faults []error
	check := func(field string, have, floor time.Duration) {
		if have < floor {
			faults = append(faults, tiering.Fault{Field: "spec." + field, Problem: fmt.Sprintf("is %s, and this service takes no less than %s; raise it, or let the service's operator lower the bound", have, floor)})
		}
	}
	check("samplingWindow", r.SamplingWindow, f.SamplingWindow)
	check("cooldownPeriod", r.CooldownPeriod, f.CooldownPeriod)
	check("migrationTimeout", r.MigrationTimeout, f.MigrationTimeout)
	return faults
}

type unobserved struct{}

func (unobserved) Request(string, int, int64, time.Duration)                   {}
func (unobserved) Decided(string, *tiering.Plan, *tiering.StoragePolicyStatus) {}
func (unobserved) Gone(string)                                                 {}

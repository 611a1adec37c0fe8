package tiering

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The limits that the schema sets too, and those it cannot express.
const (
	maxName          = 63
	maxClass         = 253
	maxNamespaces    = 256
	maxWindows       = 32
	maxWatermark     = 1_000_000_000
	maxPriority      = 1_000_000
	maxMigrations    = 25
	leastCoverage    = 50
	maxSamplingHours = 24
)

// Fault is one thing wrong with a spec.
type Fault struct {
	// Field is the path, such as spec.samplingWindow.
	Field string
	// Problem continues the sentence that the field's name begins: what is
	// wrong and what to do.
	Problem string
}

// Error returns the whole sentence.
func (f Fault) Error() string { return f.Field + " " + f.Problem }

// Compile turns a spec into a policy. The errors are all its faults at once,
// each a [Fault], in the order of the fields; with any fault the policy has its
// name and selects nothing. Compile refuses all that the CRD schema refuses,
// and also what a schema cannot say: labels and selectors that are none, and
// durations beyond 3650 days.
func Compile(name string, generation int64, created time.Time, spec StoragePolicySpec) (Policy, []error) {
	p := Policy{Name: name, Generation: generation, Created: created}
	rules, faults := compile(name, &spec)
	if len(faults) == 0 {
		p.Rules = rules
	}
	return p, faults
}

// Faults returns what [Compile] finds wrong with a spec, in the same order.
func Faults(name string, spec StoragePolicySpec) []error {
	_, faults := compile(name, &spec)
	return faults
}

func compile(name string, spec *StoragePolicySpec) (Rules, []error) {
	c := &compiler{}
	c.name(name)
	r := Rules{compiled: true}

	r.Enabled = or(spec.Enabled, true)
	r.DryRun = or(spec.DryRun, false)
	r.PausePromotions = or(spec.PausePromotions, false)
	r.PauseDemotions = or(spec.PauseDemotions, false)
	r.Approval = or(spec.Approval, AutoApproval)
	if a := r.Approval; a != AutoApproval && a != ManualApproval {
		c.fault("approval", "is %q; write %s to let moves start as the plan says, or %s to have them approved", string(a), AutoApproval, ManualApproval)
	}
	r.Windows = c.windows(spec.MaintenanceWindows)
	r.StorageClass = or(spec.StorageClassName, "mayastor")
	if n := len(r.StorageClass); n == 0 || n > maxClass {
		c.fault("storageClassName", "has %d characters; name a StorageClass in 1 to %d characters, or leave the field out for mayastor", n, maxClass)
	}
	r.Volumes = c.volumeSelector("volumeSelector", spec.VolumeSelector)
	r.ClaimNamespaces = c.namespaces(spec.ClaimNamespaces)

	c.watermarks(spec, &r)
	c.tiers(spec, &r)

	r.SamplingWindow = c.duration("samplingWindow", spec.SamplingWindow, "1h")
	if r.SamplingWindow > maxSamplingHours*time.Hour {
		c.fault("samplingWindow", "is %q, which is too long; the longest window is %dh", string(*spec.SamplingWindow), maxSamplingHours)
	}
	r.MinCoveragePercent = int(c.between("minCoverage", spec.MinCoverage, 80, leastCoverage, 100))
	r.CooldownPeriod = c.duration("cooldownPeriod", spec.CooldownPeriod, "24h")
	r.MaxConcurrentMigrations = int(c.between("maxConcurrentMigrations", spec.MaxConcurrentMigrations, 2, 1, maxMigrations))
	r.MigrationTimeout = c.duration("migrationTimeout", spec.MigrationTimeout, "30m")
	r.AllowReducedRedundancy = or(spec.AllowReducedRedundancy, false)
	r.VolumesWithSnapshots = or(spec.VolumesWithSnapshots, SkipSnapshots)
	if s := r.VolumesWithSnapshots; s != SkipSnapshots && s != MoveSnapshots {
		c.fault("volumesWithSnapshots", "is %q; write %s to leave volumes with snapshots where they are, or %s to move them without their snapshots", string(s), SkipSnapshots, MoveSnapshots)
	}
	r.MaxPoolUsedPercent = int(c.between("maxPoolUsedPercent", spec.MaxPoolUsedPercent, 90, 1, 100))
	r.Priority = c.between("priority", spec.Priority, 0, -maxPriority, maxPriority)

	if spec.ECMinVolumeSizeBytes != nil {
		r.Ignored = append(r.Ignored, "ecMinVolumeSizeBytes")
	}
	if spec.ECPolicyRef != nil {
		r.Ignored = append(r.Ignored, "ecPolicyRef")
	}
	return r, c.faults
}

// compiler gathers faults, so that a user sees all of them at once.
type compiler struct{ faults []error }

func (c *compiler) fault(field, format string, args ...any) {
	c.faults = append(c.faults, Fault{Field: "spec." + field, Problem: fmt.Sprintf(format, args...)})
}

func (c *compiler) name(name string) {
	if n := len(name); n > maxName {
		c.faults = append(c.faults, Fault{
			Field:   "metadata.name",
			Problem: fmt.Sprintf("has %d characters, and each Job carries it as a label of at most %d; choose a shorter name", n, maxName),
		})
	}
}

func (c *compiler) namespaces(names []string) []string {
	if len(names) > maxNamespaces {
		c.fault("claimNamespaces", "lists %d namespaces; list at most %d, or select by label", len(names), maxNamespaces)
	}
	sorted := slices.Sorted(slices.Values(names))
	for i, n := range sorted {
		switch {
		case i > 0 && n == sorted[i-1]:
			c.fault("claimNamespaces", "lists %q more than once; list it once", n)
		case n == "" || len(n) > maxName:
			c.fault("claimNamespaces", "lists %q, which is no namespace; remove it", n)
		}
	}
	return sorted
}

func (c *compiler) windows(specs []MaintenanceWindow) []Window {
	if len(specs) > maxWindows {
		c.fault("maintenanceWindows", "lists %d windows; list at most %d", len(specs), maxWindows)
	}
	if len(specs) == 0 {
		return nil
	}
	all := make([]Window, 0, len(specs))
	for i := range specs {
		w, err := specs[i].window()
		if err != nil {
			c.fault(fmt.Sprintf("maintenanceWindows[%d]", i), "%s", err)
		}
		all = append(all, w)
	}
	slices.SortFunc(all, byWindow)
	return slices.CompactFunc(all, func(a, b Window) bool { return byWindow(a, b) == 0 })
}

func (c *compiler) watermarks(spec *StoragePolicySpec, r *Rules) {
	before := len(c.faults)
	r.HighWatermarkIOPS = c.between("highWatermarkIOPS", spec.HighWatermarkIOPS, 5000, 1, maxWatermark)
	r.LowWatermarkIOPS = c.between("lowWatermarkIOPS", spec.LowWatermarkIOPS, 500, 0, maxWatermark)
	r.WarmWatermarkIOPS = c.between("warmWatermarkIOPS", spec.WarmWatermarkIOPS, 0, 0, maxWatermark)
	if len(c.faults) > before {
		return // A relation to a value that is out of range says nothing new.
	}
	low, warm, high := r.LowWatermarkIOPS, r.WarmWatermarkIOPS, r.HighWatermarkIOPS
	if low >= high {
		c.fault("lowWatermarkIOPS", "is %d, which is not below highWatermarkIOPS %d; choose a lower one, or each volume would be hot and cold at once", low, high)
	}
	if warm != 0 && (warm <= low || warm >= high) {
		c.fault("warmWatermarkIOPS", "is %d, which is not between lowWatermarkIOPS %d and highWatermarkIOPS %d; choose a value between them, or 0 for no warm tier", warm, low, high)
	}
}

func (c *compiler) tiers(spec *StoragePolicySpec, r *Rules) {
	r.HotPools = c.aliased("hotPoolSelector", spec.HotPoolSelector, "nvmePoolSelector", spec.NVMePoolSelector)
	r.WarmPools = c.poolSelector("warmPoolSelector", spec.WarmPoolSelector)
	r.ColdPools = c.aliased("coldPoolSelector", spec.ColdPoolSelector, "sataPoolSelector", spec.SATAPoolSelector)
	switch has := spec.WarmPoolSelector != nil; {
	case has && r.WarmWatermarkIOPS == 0:
		c.fault("warmPoolSelector", "is set and warmWatermarkIOPS is not; set both for a warm tier, or neither")
	case !has && r.WarmWatermarkIOPS > 0:
		c.fault("warmWatermarkIOPS", "is set and warmPoolSelector is not; set both for a warm tier, or neither")
	}
}

func (c *compiler) duration(field string, d *Duration, otherwise Duration) time.Duration {
	parsed, err := or(d, otherwise).Parse()
	if err != nil {
		c.fault(field, "%s", err)
	}
	return parsed
}

func (c *compiler) between(field string, n *int64, otherwise, least, most int64) int64 {
	v := or(n, otherwise)
	if v < least || v > most {
		c.fault(field, "is %d; choose a value from %d to %d", v, least, most)
	}
	return v
}

// or returns what p points to, or the default.
func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}

// empty reports whether a selector asks for nothing.
func empty(s *metav1.LabelSelector) bool {
	return s == nil || len(s.MatchLabels)+len(s.MatchExpressions) == 0
}

package tiering

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// Rules are a policy's spec with defaults applied, aliases resolved and
// selectors compiled. Only [Compile] makes rules that a decision accepts: the
// zero value selects no volume and no pool.
type Rules struct {
	Enabled bool
	DryRun  bool
	// PausePromotions and PauseDemotions hold moves of one direction.
	PausePromotions, PauseDemotions bool

	// Windows are the policy's own, in an order that does not depend on the
	// spec's.
	Windows []Window

	Approval ApprovalRule

	StorageClass string
	// Volumes selects by the joined labels; never nil after Compile.
	Volumes labels.Selector
	// ClaimNamespaces is sorted; empty means all.
	ClaimNamespaces []string

	// WarmWatermarkIOPS is 0 when there is no warm tier.
	HighWatermarkIOPS, WarmWatermarkIOPS, LowWatermarkIOPS int64
	// The pools of each tier; never nil after Compile.
	HotPools, WarmPools, ColdPools labels.Selector

	SamplingWindow          time.Duration
	MinCoveragePercent      int
	CooldownPeriod          time.Duration
	MaxConcurrentMigrations int
	// MigrationTimeout is per replica.
	MigrationTimeout       time.Duration
	AllowReducedRedundancy bool
	VolumesWithSnapshots   SnapshotRule
	MaxPoolUsedPercent     int
	Priority               int64

	// Ignored names, sorted, the spec fields that were set and have no effect.
	Ignored []string

	compiled bool
}

// Compiled reports whether the rules come from a spec without faults.
func (r *Rules) Compiled() bool { return r.compiled }

// HasWarm reports whether there is a warm tier.
func (r *Rules) HasWarm() bool { return r.WarmWatermarkIOPS > 0 }

// Selects reports whether the policy selects the volume, whoever wins it.
func (r *Rules) Selects(v *Volume) bool {
	if !r.compiled || v.StorageClass != r.StorageClass {
		return false
	}
	if len(r.ClaimNamespaces) > 0 {
		if _, ok := slices.BinarySearch(r.ClaimNamespaces, v.ClaimNamespace); !ok {
			return false
		}
	}
	return r.Volumes.Matches(v.Labels)
}

func (r *Rules) poolSelector(t Tier) labels.Selector {
	switch t {
	case Hot:
		return r.HotPools
	case Warm:
		return r.WarmPools
	case Cold:
		return r.ColdPools
	case NoTier:
	}
	return nil
}

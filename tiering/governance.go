package tiering

import (
	"cmp"
	"slices"
	"time"
)

// GovernanceName is the name of the ConfigMap that holds a cluster's
// governance, in the namespace of the service. Its data is what
// [ParseGovernance] reads.
const GovernanceName = "couchestor-governance"

// Governance is what the cluster's operators hold every policy to. Nothing in
// it is a policy's own to change. The zero value asks for no dry run, bounds
// nothing and stops nothing.
type Governance struct {
	// NewPolicyDryRun is how long a policy is watched before it may move its
	// first volume, ThresholdChangeDryRun how long after a change of its spec; 0
	// is not at all.
	NewPolicyDryRun, ThresholdChangeDryRun time.Duration
	// Ranges are those approved for the fields of a spec, in the order of the
	// fields; a field that is not there has none.
	Ranges []Range
	// Exceptions, in the order of field and policy, free a policy from the range
	// of a field.
	Exceptions []Exception
	// Caps bound what moves at once in the whole cluster.
	Caps Caps
	// Windows are the cluster's own, which hold beside those of a policy.
	Windows []Window
	Freeze  Freeze
	Stop    Stop
}

// Range is what is approved for one field of a spec, both ends included.
// Durations are in nanoseconds.
type Range struct {
	Field    string
	Min, Max Bound
}

// Bound is one end of a range; the zero value bounds nothing.
type Bound struct {
	Set   bool
	Value int64
	// Text is the value as it was written.
	Text string
}

// Exception frees one policy from the range of one field.
type Exception struct {
	Field, Policy, Reason string
}

// Caps bound what may move at once in the whole cluster; 0 is no bound.
type Caps struct {
	Moves int
	// Bytes bounds the sizes of all replicas that move.
	Bytes int64
	// PerPool and PerNode bound the moves that may land on one pool, or that
	// take a replica from one node.
	PerPool, PerNode int
}

// Freeze lets no move start for a while. Moves that run go on.
type Freeze struct {
	Set bool
	// Until is when it ends; zero if that could not be read, and then it does
	// not end by itself.
	Until  time.Time
	Reason string
}

// Holds reports whether the freeze is on.
func (f Freeze) Holds(now time.Time) bool {
	return f.Set && (f.Until.IsZero() || now.Before(f.Until))
}

// Stop is the emergency stop of the whole cluster: no move starts, and moves
// that run bring their volume to a safe end.
type Stop struct {
	On     bool
	Reason string
}

// Keeping returns what is in force while g has faults and last, the last one
// without, stays: last, with the emergency stop and the freeze of either, as a
// mistyped line must not undo a stop that stands beside it.
func (g Governance) Keeping(last Governance) Governance {
	kept := last
	if g.Stop.On && !kept.Stop.On {
		kept.Stop = g.Stop
	}
	switch f := g.Freeze; {
	case !f.Set:
	case !kept.Freeze.Set,
		!kept.Freeze.Until.IsZero() && (f.Until.IsZero() || f.Until.After(kept.Freeze.Until)):
		kept.Freeze = f
	}
	return kept
}

// Governed is the governance that is in force, and how it came about. It is
// shared between policies and never changed after it was made.
type Governed struct {
	Governance
	// Known is false while no configuration without faults was ever read. Then
	// nothing new starts, and of Governance only Stop and Freeze say anything.
	Known bool
	// Source is OK while the newest configuration is the one in force; else its
	// message is a sentence that says what is wrong with it.
	Source Source
}

// excepted returns the reason for which a policy is free from the range of a
// field.
func (g *Governance) excepted(field, policy string) (reason string, ok bool) {
	i, ok := slices.BinarySearchFunc(g.Exceptions, Exception{Field: field, Policy: policy}, byException)
	if !ok {
		return "", false
	}
	return g.Exceptions[i].Reason, true
}

func byException(a, b Exception) int {
	return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Policy, b.Policy))
}

// ranged is a field of a spec that may have an approved range.
type ranged struct {
	name     string
	duration bool
	of       func(*Rules) int64
	// absent is true if a value of 0 says that there is no such thing, which no
	// range speaks about.
	absent bool
}

// rangedFields are the fields that may have an approved range, in the order of
// the spec.
func rangedFields() []ranged {
	return []ranged{
		{name: "highWatermarkIOPS", of: func(r *Rules) int64 { return r.HighWatermarkIOPS }},
		{name: "lowWatermarkIOPS", of: func(r *Rules) int64 { return r.LowWatermarkIOPS }},
		{name: "warmWatermarkIOPS", of: func(r *Rules) int64 { return r.WarmWatermarkIOPS }, absent: true},
		{name: "samplingWindow", duration: true, of: func(r *Rules) int64 { return int64(r.SamplingWindow) }},
		{name: "minCoverage", of: func(r *Rules) int64 { return int64(r.MinCoveragePercent) }},
		{name: "cooldownPeriod", duration: true, of: func(r *Rules) int64 { return int64(r.CooldownPeriod) }},
		{name: "maxConcurrentMigrations", of: func(r *Rules) int64 { return int64(r.MaxConcurrentMigrations) }},
		{name: "migrationTimeout", duration: true, of: func(r *Rules) int64 { return int64(r.MigrationTimeout) }},
		{name: "maxPoolUsedPercent", of: func(r *Rules) int64 { return int64(r.MaxPoolUsedPercent) }},
		{name: "priority", of: func(r *Rules) int64 { return r.Priority }},
	}
}

// Outside returns a sentence for each field of a policy whose value is not in
// its approved range and that has no exception, in the order of the fields. A
// policy that does not compile has none.
func (g *Governance) Outside(p *Policy) []string {
	if !p.Rules.compiled {
		return nil
	}
	var all []string
	for _, f := range rangedFields() {
		i := slices.IndexFunc(g.Ranges, func(r Range) bool { return r.Field == f.name })
		if i < 0 {
			continue
		}
		value := f.of(&p.Rules)
		if _, free := g.excepted(f.name, p.Name); free || f.absent && value == 0 || g.Ranges[i].holds(value) {
			continue
		}
		all = append(all, "spec."+f.name+" is "+f.text(value)+" and the approved range is "+g.Ranges[i].String())
	}
	return all
}

// Excepted returns a sentence for each field of the policy that an exception
// frees from its range, in the order of the fields.
func (g *Governance) Excepted(policy string) []string {
	var all []string
	for _, f := range rangedFields() {
		if reason, ok := g.excepted(f.name, policy); ok {
			all = append(all, "spec."+f.name+" ("+reason+")")
		}
	}
	return all
}

func (r *Range) holds(value int64) bool {
	return (!r.Min.Set || value >= r.Min.Value) && (!r.Max.Set || value <= r.Max.Value)
}

// String says the range in words, such as 100 to 5000 or at least 1h.
func (r *Range) String() string {
	switch {
	case r.Min.Set && r.Max.Set:
		return r.Min.Text + " to " + r.Max.Text
	case r.Min.Set:
		return "at least " + r.Min.Text
	}
	return "at most " + r.Max.Text
}

// text writes a value of the field the way a spec does.
func (f *ranged) text(value int64) string {
	if f.duration {
		return formatSpan(time.Duration(value))
	}
	return whole(float64(value))
}

package tiering

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// digestVersion begins every digest. What a digest is made of stays the same
// from release to release, since another digest is another dry run of every
// policy of every cluster: a field that is added to the spec is written only
// where it differs from its default. Whoever has to change more than that takes
// another version, and goes on comparing this one with memories that have it.
const digestVersion = "v1:"

// Digest names what the rules say, apart from whether they act now: not enabled,
// dryRun and the pauses. Rules that mean the same have the same digest, however
// they are spelt, and others have another. It is empty for rules that are not
// compiled.
func (r *Rules) Digest() string {
	if !r.compiled {
		return ""
	}
	c := r.selection()
	c.number("highWatermarkIOPS", r.HighWatermarkIOPS)
	c.number("lowWatermarkIOPS", r.LowWatermarkIOPS)
	c.number("warmWatermarkIOPS", r.WarmWatermarkIOPS)
	c.selector("hotPoolSelector", r.HotPools)
	c.selector("warmPoolSelector", r.WarmPools)
	c.selector("coldPoolSelector", r.ColdPools)
	c.span("samplingWindow", r.SamplingWindow)
	c.number("minCoverage", int64(r.MinCoveragePercent))
	c.span("cooldownPeriod", r.CooldownPeriod)
	c.number("maxConcurrentMigrations", int64(r.MaxConcurrentMigrations))
	c.span("migrationTimeout", r.MigrationTimeout)
	c.text("allowReducedRedundancy", strconv.FormatBool(r.AllowReducedRedundancy))
	c.text("volumesWithSnapshots", string(r.VolumesWithSnapshots))
	c.number("maxPoolUsedPercent", int64(r.MaxPoolUsedPercent))
	c.number("priority", r.Priority)
	if r.Approval != AutoApproval {
		c.text("approval", string(r.Approval))
	}
	for i := range r.Windows {
		w := &r.Windows[i]
		c.text("maintenanceWindow", string(w.Action())+" "+w.String())
	}
	return c.digest()
}

// SelectionDigest names which volumes the rules select, in the same way.
func (r *Rules) SelectionDigest() string {
	if !r.compiled {
		return ""
	}
	return r.selection().digest()
}

func (r *Rules) selection() *canonical {
	c := &canonical{}
	c.text("storageClassName", r.StorageClass)
	c.selector("volumeSelector", r.Volumes)
	c.text("claimNamespaces", quotedList(r.ClaimNamespaces))
	return c
}

// canonical is the one spelling of rules: a line for each field, in a fixed
// order, with what others wrote in quotes.
type canonical struct{ b strings.Builder }

func (c *canonical) text(field, value string) {
	c.b.WriteString(field + "=" + strconv.Quote(value) + "\n")
}

func (c *canonical) number(field string, n int64) { c.text(field, strconv.FormatInt(n, 10)) }

// span writes whole seconds, which is all that a spec can say.
func (c *canonical) span(field string, d time.Duration) {
	c.text(field, strconv.FormatInt(int64(d/time.Second), 10)+"s")
}

// selector writes the requirements in the order of keys, those of equal to one
// value as those of in a set of one.
func (c *canonical) selector(field string, s labels.Selector) {
	requirements, selectable := s.Requirements()
	if !selectable {
		c.text(field, "nothing")
		return
	}
	all := make([]string, 0, len(requirements))
	for i := range requirements {
		q := &requirements[i]
		op := q.Operator()
		if op == selection.Equals || op == selection.DoubleEquals {
			op = selection.In
		}
		values := slices.Sorted(slices.Values(q.ValuesUnsorted()))
		all = append(all, strconv.Quote(q.Key())+" "+string(op)+" "+quotedList(slices.Compact(values)))
	}
	slices.Sort(all)
	c.text(field, strings.Join(slices.Compact(all), "; "))
}

func quotedList(names []string) string {
	all := make([]string, len(names))
	for i, n := range names {
		all[i] = strconv.Quote(n)
	}
	return strings.Join(all, ",")
}

// digest is short enough to be read out and long enough to be no accident.
func (c *canonical) digest() string {
	sum := sha256.Sum256([]byte(c.b.String()))
	return digestVersion + hex.EncodeToString(sum[:16])
}

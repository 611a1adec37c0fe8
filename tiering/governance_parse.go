package tiering

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// The dry runs that are asked for where the configuration does not say.
const (
	defaultNewPolicyDryRun       = 168 * time.Hour
	defaultThresholdChangeDryRun = 24 * time.Hour
)

// The keys that stand alone.
const (
	keyNewPolicyDryRun       = "newPolicyDryRun"
	keyThresholdChangeDryRun = "thresholdChangeDryRun"
	keyLimitMoves            = "limit.moves"
	keyLimitBytes            = "limit.bytesInFlight"
	keyLimitPerPool          = "limit.movesPerPool"
	keyLimitPerNode          = "limit.movesPerNode"
	keyFreezeUntil           = "freeze.until"
	keyFreezeReason          = "freeze.reason"
	keyStop                  = "emergencyStop"
	keyStopReason            = "emergencyStop.reason"
)

// The parts of the keys that hold a name.
const (
	minSuffix       = ".min"
	maxSuffix       = ".max"
	exceptionPrefix = "exception."
	allowPrefix     = "maintenanceWindow.allow."
	denyPrefix      = "maintenanceWindow.deny."
)

// ParseGovernance reads the data of the ConfigMap [GovernanceName]. Every key
// may be missing; one that is not in this table is a fault, as a misspelt limit
// would bound nothing.
//
//	key                                value                                  without it
//	newPolicyDryRun                    duration, or 0s for none               168h
//	thresholdChangeDryRun              duration, or 0s for none               24h
//	highWatermarkIOPS.min, .max        whole number                           no bound
//	lowWatermarkIOPS.min, .max         whole number                           no bound
//	warmWatermarkIOPS.min, .max        whole number, not asked of 0           no bound
//	samplingWindow.min, .max           duration                               no bound
//	minCoverage.min, .max              whole number, in percent               no bound
//	cooldownPeriod.min, .max           duration                               no bound
//	maxConcurrentMigrations.min, .max  whole number                           no bound
//	migrationTimeout.min, .max         duration                               no bound
//	maxPoolUsedPercent.min, .max       whole number, in percent               no bound
//	priority.min, .max                 whole number                           no bound
//	exception.<field>.<policy>         the reason, which must be given        no exception
//	limit.moves                        whole number from 1                    no bound
//	limit.bytesInFlight                quantity such as 500Gi                 no bound
//	limit.movesPerPool                 whole number from 1                    no bound
//	limit.movesPerNode                 whole number from 1                    no bound
//	freeze.until                       RFC 3339 time, or nothing              no freeze
//	freeze.reason                      text, which a freeze must have         -
//	emergencyStop                      "true" or "false"                      false
//	emergencyStop.reason               text                                   -
//	maintenanceWindow.allow.<name>     Mon-Fri 22:00-06:00 Europe/Berlin      moves start at any time
//	maintenanceWindow.deny.<name>      daily 08:00-09:00 UTC                  -
//
// A duration is written as in a spec: whole numbers each followed by d, h, m or
// s. The value of a range, a limit or a switch has no space around it, as
// admission control reads the same text.
//
// The errors are all faults at once, each a [Fault] with the key as its field,
// in the order of the keys. With any fault only Stop and Freeze are set, and in
// doubt they are on: an emergency stop that says neither true nor false stops,
// and a freeze whose end cannot be read freezes without an end.
func ParseGovernance(data map[string]string) (Governance, []error) {
	p := &governanceParser{data: data, ranges: map[string]*Range{}, g: Governance{
		NewPolicyDryRun: defaultNewPolicyDryRun, ThresholdChangeDryRun: defaultThresholdChangeDryRun,
	}}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		p.read(key, data[key])
	}
	p.freeze()
	p.assemble()
	if len(p.faults) > 0 {
		slices.SortStableFunc(p.faults, func(a, b Fault) int { return cmp.Compare(a.Field, b.Field) })
		faults := make([]error, len(p.faults))
		for i, f := range p.faults {
			faults[i] = f
		}
		return Governance{Stop: p.g.Stop, Freeze: p.g.Freeze}, faults
	}
	return p.g, nil
}

// governanceParser gathers what the keys say, and faults.
type governanceParser struct {
	data   map[string]string
	g      Governance
	ranges map[string]*Range
	faults []Fault
}

func (p *governanceParser) fault(key, format string, args ...any) {
	p.faults = append(p.faults, Fault{Field: key, Problem: fmt.Sprintf(format, args...)})
}

func (p *governanceParser) read(key, value string) {
	switch key {
	case keyNewPolicyDryRun:
		p.g.NewPolicyDryRun = p.dryRun(key, value)
	case keyThresholdChangeDryRun:
		p.g.ThresholdChangeDryRun = p.dryRun(key, value)
	case keyLimitMoves:
		p.g.Caps.Moves = p.count(key, value)
	case keyLimitPerPool:
		p.g.Caps.PerPool = p.count(key, value)
	case keyLimitPerNode:
		p.g.Caps.PerNode = p.count(key, value)
	case keyLimitBytes:
		p.g.Caps.Bytes = p.bytes(key, value)
	case keyFreezeUntil, keyFreezeReason:
		// Read together, by freeze.
	case keyStop:
		switch value {
		case "true":
			p.g.Stop.On = true
		case "false", "":
		default:
			p.g.Stop.On = true
			p.fault(key, "is %s, which is neither true nor false; the emergency stop is on until it says false", quoted(value))
		}
	case keyStopReason:
		p.g.Stop.Reason = strings.TrimSpace(value)
	default:
		p.readNamed(key, value)
	}
}

// readNamed reads a key that holds a name: of a field, a policy or a window.
func (p *governanceParser) readNamed(key, value string) {
	if rest, ok := strings.CutPrefix(key, exceptionPrefix); ok {
		p.exception(key, rest, value)
		return
	}
	if name, ok := strings.CutPrefix(key, allowPrefix); ok && name != "" {
		p.window(key, name, value, false)
		return
	}
	if name, ok := strings.CutPrefix(key, denyPrefix); ok && name != "" {
		p.window(key, name, value, true)
		return
	}
	if i := slices.IndexFunc(rangedFields(), func(f ranged) bool { return key == f.name+minSuffix || key == f.name+maxSuffix }); i >= 0 {
		p.bound(&rangedFields()[i], key, value)
		return
	}
	near := nearKeys(key)
	if len(near) == 0 {
		p.fault(key, "is no key of the governance configuration; remove it, or write one of those documented, such as %s or highWatermarkIOPS%s", keyFreezeUntil, maxSuffix)
		return
	}
	p.fault(key, "is no key of the governance configuration; the nearest is %s", strings.Join(near, " or "))
}

func (p *governanceParser) dryRun(key, value string) time.Duration {
	if digits := strings.TrimRight(value, "dhms"); len(digits) == len(value)-1 && digits != "" && strings.Trim(digits, "0") == "" {
		return 0
	}
	return p.duration(key, value)
}

func (p *governanceParser) duration(key, value string) time.Duration {
	d, err := Duration(value).Parse()
	if err != nil {
		p.fault(key, "%s", err)
	}
	return d
}

func (p *governanceParser) count(key, value string) int {
	n, err := strconv.ParseInt(value, 10, 32)
	if err != nil || n < 1 {
		p.fault(key, "is %s; write a whole number from 1, remove the key for no bound, or set %s to let nothing start", quoted(value), keyFreezeUntil)
		return 0
	}
	return int(n)
}

func (p *governanceParser) bytes(key, value string) int64 {
	q, err := resource.ParseQuantity(value)
	if n, whole := q.AsInt64(); err == nil && whole && n > 0 {
		return n
	}
	p.fault(key, "is %s; write a number of bytes such as 500Gi or 2Ti, or remove the key for no bound", quoted(value))
	return 0
}

func (p *governanceParser) bound(f *ranged, key, value string) {
	b := Bound{Set: true, Text: value}
	if f.duration {
		b.Value = int64(p.duration(key, value))
		b.Set = b.Value > 0
	} else {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			p.fault(key, "is %s; write a whole number", quoted(value))
		}
		b.Value, b.Set = n, err == nil
	}
	r := p.ranges[f.name]
	if r == nil {
		r = &Range{Field: f.name}
		p.ranges[f.name] = r
	}
	if strings.HasSuffix(key, minSuffix) {
		r.Min = b
	} else {
		r.Max = b
	}
}

func (p *governanceParser) exception(key, rest, value string) {
	field, policy, _ := strings.Cut(rest, ".")
	switch reason := strings.TrimSpace(value); {
	case !slices.ContainsFunc(rangedFields(), func(f ranged) bool { return f.name == field }):
		names := make([]string, 0, len(rangedFields()))
		for _, f := range rangedFields() {
			names = append(names, f.name)
		}
		near := nearest(field, names)
		if len(near) == 0 {
			near = names
		}
		p.fault(key, "names %s, which is no field with an approved range; write %s<field>.<policy> with the field %s", quoted(field), exceptionPrefix, strings.Join(near, " or "))
	case policy == "":
		p.fault(key, "names no policy; write %s%s.<policy>", exceptionPrefix, field)
	case reason == "":
		p.fault(key, "has no reason; write why policy %s may leave the approved range", policy)
	default:
		p.g.Exceptions = append(p.g.Exceptions, Exception{field, policy, reason})
	}
}

func (p *governanceParser) window(key, name, value string, deny bool) {
	w, err := parseWindow(value)
	if err != nil {
		p.fault(key, "%s", err)
		return
	}
	w.Name, w.Deny = name, deny
	p.g.Windows = append(p.g.Windows, w)
}

// freeze reads the two keys of a freeze; where one of them is in doubt, the
// freeze is on.
func (p *governanceParser) freeze() {
	until, reason := strings.TrimSpace(p.data[keyFreezeUntil]), strings.TrimSpace(p.data[keyFreezeReason])
	if until == "" {
		return
	}
	p.g.Freeze = Freeze{Set: true, Reason: reason}
	if at, err := time.Parse(time.RFC3339, until); err != nil {
		p.fault(keyFreezeUntil, "is %s, which is no time; write one such as 2026-12-28T06:00:00Z, or nothing to end the freeze. Until then nothing starts", quoted(until))
	} else {
		p.g.Freeze.Until = at.UTC()
	}
	if reason == "" {
		p.fault(keyFreezeReason, "is missing; write why %s is set, for those whom it stops", keyFreezeUntil)
	}
}

// assemble puts ranges, exceptions and windows into their order, and finds
// ranges that hold nothing.
func (p *governanceParser) assemble() {
	for _, f := range rangedFields() {
		r := p.ranges[f.name]
		if r == nil {
			continue
		}
		if r.Min.Set && r.Max.Set && r.Min.Value > r.Max.Value {
			p.fault(f.name+minSuffix, "is %s, which is beyond %s%s %s; no policy could be accepted", r.Min.Text, f.name, maxSuffix, r.Max.Text)
		}
		p.g.Ranges = append(p.g.Ranges, *r)
	}
	slices.SortFunc(p.g.Exceptions, byException)
	slices.SortFunc(p.g.Windows, func(a, b Window) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Action(), b.Action()))
	})
}

// quoted is a value for a sentence, cut where it is long.
func quoted(value string) string {
	const most = 60
	if len(value) > most {
		value = strings.ToValidUTF8(value[:most], "") + "..."
	}
	return strconv.Quote(value)
}

// nearKeys returns the keys that somebody who wrote an unknown one may have
// meant, nearest first, at most three.
func nearKeys(key string) []string {
	all := []string{
		keyNewPolicyDryRun, keyThresholdChangeDryRun, keyLimitMoves, keyLimitBytes, keyLimitPerPool, keyLimitPerNode,
		keyFreezeUntil, keyFreezeReason, keyStop, keyStopReason,
	}
	for _, f := range rangedFields() {
		all = append(all, f.name+minSuffix, f.name+maxSuffix)
		if key == f.name || strings.HasPrefix(key, f.name+".") {
			return []string{f.name + minSuffix, f.name + maxSuffix}
		}
	}
	for _, pattern := range []string{allowPrefix, denyPrefix} {
		if distance(key[:min(len(key), len(pattern))], pattern) <= 3 {
			return []string{allowPrefix + "<name>", denyPrefix + "<name>"}
		}
	}
	if strings.EqualFold(key[:min(len(key), len(exceptionPrefix))], exceptionPrefix) {
		return []string{exceptionPrefix + "<field>.<policy>"}
	}
	return nearest(key, all)
}

// nearest returns those names that differ little from the one given.
func nearest(name string, from []string) []string {
	type near struct {
		name string
		by   int
	}
	var all []near
	for _, n := range from {
		if by := distance(strings.ToLower(name), strings.ToLower(n)); by <= max(2, len(n)/3) {
			all = append(all, near{n, by})
		}
	}
	slices.SortStableFunc(all, func(a, b near) int { return a.by - b.by })
	var names []string
	for _, n := range all[:min(len(all), 3)] {
		if n.by > all[0].by+1 {
			break
		}
		names = append(names, n.name)
	}
	return names
}

// distance counts the bytes to insert, remove or replace that make one text of
// the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

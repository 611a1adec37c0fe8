package tiering

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The types of condition. The first four are always there; the others only
// while there is something to say.
const (
	// ConditionReady is true while the policy does what its spec says.
	ConditionReady = "Ready"
	// ConditionPolicyAccepted is false while the spec has faults.
	ConditionPolicyAccepted = "PolicyAccepted"
	// ConditionMetricsAvailable is false while there are no scores.
	ConditionMetricsAvailable = "MetricsAvailable"
	// ConditionMayastorAvailable is false while Mayastor cannot be read.
	ConditionMayastorAvailable = "MayastorAvailable"
	// ConditionGovernanceAccepted, where governance is configured, is false while
	// the newest configuration has faults.
	ConditionGovernanceAccepted = "GovernanceAccepted"
	// ConditionApproved, where spec.approval is Manual, is true while a proposal is
	// approved, and says else which one waits, and why a digest that the policy
	// carries lets nothing start.
	ConditionApproved = "Approved"
	// ConditionOutsideRanges names the fields that are outside of their approved
	// range.
	ConditionOutsideRanges = "OutsideApprovedRanges"
	// ConditionKubernetesAvailable is false while the service, where it reads
	// volumes and Jobs itself, cannot; else it is not there.
	ConditionKubernetesAvailable = "KubernetesAvailable"
	// ConditionIgnoredFields names fields that are accepted and have no effect.
	ConditionIgnoredFields = "IgnoredFields"
	// ConditionPoolsAmbiguous names pools that are in no tier because they
	// could be in more than one.
	ConditionPoolsAmbiguous = "PoolsAmbiguous"
	// ConditionTiersWithoutPools names tiers that no pool is in.
	ConditionTiersWithoutPools = "TiersWithoutPools"
	// ConditionVolumesContested names policies that win volumes from this one.
	ConditionVolumesContested = "VolumesContested"
	// ConditionMovesSuspended says why nothing may move in the cluster.
	ConditionMovesSuspended = "MovesSuspended"
)

// named is how many names a message lists before it only counts.
const named = 10

// conditions returns what this plan has to say, without times.
func (p *Plan) conditions() []metav1.Condition {
	w := p.in.World
	all := []metav1.Condition{
		condition(ConditionPolicyAccepted, true, "Accepted", "The policy has no faults."),
		source(ConditionMetricsAvailable, w.Metrics, "Scores are read from Prometheus.", "Scores cannot be read from Prometheus; each volume keeps its tier."),
		source(ConditionMayastorAvailable, w.Mayastor, "Volumes, pools and nodes are read from Mayastor.", "Mayastor cannot be read; nothing new starts."),
	}
	if w.Kubernetes != nil && !w.Kubernetes.OK {
		all = append(all, source(ConditionKubernetesAvailable, *w.Kubernetes, "", "Kubernetes cannot be read; nothing new starts."))
	}
	add := func(kind, reason, message string) {
		all = append(all, condition(kind, true, reason, message))
	}
	if names := p.in.Policy.Rules.Ignored; len(names) > 0 {
		add(ConditionIgnoredFields, "OutOfScope", "These fields are accepted and have no effect: "+strings.Join(names, ", ")+". Remove them, or leave them for another operator.")
	}
	if pools := p.Tiers.Ambiguous(); len(pools) > 0 {
		add(ConditionPoolsAmbiguous, "InNoTier", ambiguous(pools))
	}
	bare := p.bareTiers()
	if bare != "" {
		add(ConditionTiersWithoutPools, "NoPools", bare)
	}
	if s := p.contested(); s != "" {
		add(ConditionVolumesContested, "OtherPolicyWins", s)
	}
	suspended := or(text(w.Movable), w.Unsettled)
	if suspended != "" {
		add(ConditionMovesSuspended, "NotMovable", suspended)
	}
	all = append(all, p.governed()...)
	all = append(all, p.approval()...)
	all = append(all, p.ready(bare, suspended))
	for _, c := range p.in.Conditions {
		all = slices.DeleteFunc(all, func(have metav1.Condition) bool { return have.Type == c.Type })
		all = append(all, c)
	}
	return all
}

// ready sums the others up: the first thing in the way is the reason.
func (p *Plan) ready(bare, suspended string) metav1.Condition {
	not := func(reason, message string) metav1.Condition {
		return condition(ConditionReady, false, reason, message)
	}
	switch w, s := p.in.World, &p.standing; {
	case s.notReady != "":
		return not(s.notReady, s.why)
	case !w.Metrics.OK:
		return not("MetricsUnavailable", "Without scores each volume keeps its tier; see the condition MetricsAvailable.")
	case !w.Mayastor.OK:
		return not("MayastorUnavailable", "Without Mayastor nothing new starts; see the condition MayastorAvailable.")
	case w.Kubernetes != nil && !w.Kubernetes.OK:
		return not("KubernetesUnavailable", "Without a fresh view of Kubernetes nothing new starts; see the condition KubernetesAvailable.")
	case bare != "":
		return not("NoPools", "A tier has no pool; see the condition TiersWithoutPools.")
	case p.dryRun():
		return condition(ConditionReady, true, "DryRun", "Moves are shown and not started.")
	case suspended != "":
		return not("MovesSuspended", "Nothing may move now; see the condition MovesSuspended.")
	}
	return condition(ConditionReady, true, "Active", "Volumes are moved as the plan says.")
}

// governed says whether the newest governance configuration is in force, and
// what of it speaks of this policy.
func (p *Plan) governed() []metav1.Condition {
	g := p.in.Governed
	if g == nil {
		return nil
	}
	c := condition(ConditionGovernanceAccepted, true, "Accepted", "The governance configuration is in force.")
	switch {
	case !g.Known:
		c = source(ConditionGovernanceAccepted, g.Source, "", "The governance configuration cannot be read.")
		c.Status = metav1.ConditionFalse
		c.Message += " No good one was read before, so nothing new starts until it is corrected."
	case !g.Source.OK:
		c = source(ConditionGovernanceAccepted, g.Source, "", "The governance configuration cannot be read.")
		c.Message += " The last good one stays in force until it is corrected."
	}
	if free := g.Excepted(p.in.Policy.Name); len(free) > 0 {
		c.Message += " This policy has exceptions from approved ranges: " + list(free) + "."
	}
	all := []metav1.Condition{c}
	if len(p.standing.outside) > 0 {
		all = append(all, condition(ConditionOutsideRanges, true, "NotApproved",
			"Outside of what is approved: "+list(p.standing.outside)+". Correct the spec, or have an exception entered in ConfigMap "+GovernanceName+"."))
	}
	return all
}

// bareTiers names the tiers without a pool; empty while Mayastor does not say.
func (p *Plan) bareTiers() string {
	if !p.in.World.Mayastor.OK {
		return ""
	}
	var names []string
	for t := Hot; t <= Cold; t++ {
		if len(p.Tiers.Pools(t)) == 0 && (t != Warm || p.in.Policy.Rules.HasWarm()) {
			names = append(names, t.String())
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "No pool is in tier " + strings.Join(names, ", ") + ", so no volume can go there. Label pools so that the tier's selector matches them; a missing or empty selector matches none."
}

// contested names the policies that win volumes from this one.
func (p *Plan) contested() string {
	var winners []string
	for i := range p.Decisions {
		if w := p.Decisions[i].Winner; w != "" && !slices.Contains(winners, w) {
			winners = append(winners, w)
		}
	}
	if len(winners) == 0 {
		return ""
	}
	slices.Sort(winners)
	return "Some volumes are selected by policies that rank higher too, and belong to them: " + list(winners) + ". Raise spec.priority, or narrow a selector."
}

func ambiguous(pools []Ambiguity) string {
	s := make([]string, len(pools))
	for i, a := range pools {
		s[i] = "pool " + a.Pool + " (" + a.Why + ")"
	}
	return "These pools are in no tier: " + list(s) + ". Correct their labels or the policy's selectors."
}

// list joins the first names, and counts the rest.
func list(names []string) string {
	if more := len(names) - named; more > 0 {
		return strings.Join(names[:named], ", ") + " and " + strconv.Itoa(more) + " more"
	}
	return strings.Join(names, ", ")
}

// faulty returns the conditions of a policy with faults; the others stay.
func faulty(prev []metav1.Condition, faults []error) []metav1.Condition {
	all := slices.Clone(prev)
	all = slices.DeleteFunc(all, func(c metav1.Condition) bool {
		return c.Type == ConditionReady || c.Type == ConditionPolicyAccepted
	})
	s := make([]string, len(faults))
	for i, err := range faults {
		s[i] = err.Error() + "."
	}
	message := or(text(strings.Join(s, " ")), "The policy has faults.")
	return append(all,
		condition(ConditionPolicyAccepted, false, "Faults", message),
		condition(ConditionReady, false, "NotAccepted", "The policy has faults; see the condition PolicyAccepted."))
}

// maxMessage is what a condition's message may have in the schema.
const maxMessage = 32768

func source(kind string, s Source, up, down string) metav1.Condition {
	if s.OK {
		return condition(kind, true, or(text(s.Reason), "Available"), or(text(s.Message), up))
	}
	return condition(kind, false, or(text(s.Reason), "Unavailable"), or(text(s.Message), down))
}

func condition(kind string, status bool, reason, message string) metav1.Condition {
	c := metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: reason, Message: message}
	if status {
		c.Status = metav1.ConditionTrue
	}
	return c
}

// settle gives conditions their generation and times, and sorts them. The time
// is that of the last change of Status; Reason and Message may change within.
func settle(prev, now []metav1.Condition, generation int64, at time.Time) []metav1.Condition {
	all := slices.Clone(now)
	for i := range all {
		c := &all[i]
		if !isReason(c.Reason) {
			c.Reason = "Unspecified"
		}
		if len(c.Message) > maxMessage {
			c.Message = strings.ToValidUTF8(c.Message[:maxMessage-3], "") + "..."
		}
		c.ObservedGeneration = generation
		c.LastTransitionTime = inSeconds(at)
		if k := slices.IndexFunc(prev, func(p metav1.Condition) bool { return p.Type == c.Type && p.Status == c.Status }); k >= 0 && !prev[k].LastTransitionTime.IsZero() {
			c.LastTransitionTime = prev[k].LastTransitionTime
		}
	}
	slices.SortFunc(all, func(a, b metav1.Condition) int { return cmp.Compare(a.Type, b.Type) })
	return all
}

// isReason reports whether s is a reason by the schema of a condition, which
// asks for ^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$ in at most 1024 characters.
func isReason(s string) bool {
	if s == "" || len(s) > 1024 || s[len(s)-1] == ',' || s[len(s)-1] == ':' {
		return false
	}
	for i, c := range []byte(s) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || !('0' <= c && c <= '9' || c == '_' || c == ',' || c == ':')) {
			return false
		}
	}
	return true
}

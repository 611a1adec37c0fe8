package tiering

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/selection"
)

// rank orders policies that select the same volume: the higher priority first,
// then the name that sorts first. The first one wins.
func rank(a, b *Policy) int {
	return cmp.Or(
		cmp.Compare(b.Rules.Priority, a.Rules.Priority),
		cmp.Compare(a.Name, b.Name),
	)
}

// rivals are the policies of one storage class that rank above one policy,
// arranged so that a volume is compared with few of them: a cluster may well
// have a thousand policies, one for each namespace or each tenant label.
// A disabled or dry-run policy is a rival too: to stop a policy must not hand
// its volumes to the next one.
type rivals struct {
	// ranked holds them all, the winner first; the rest are places in it,
	// ascending.
	ranked []*Policy
	// byNamespace holds those that name the claim's namespace, byLabel those
	// that ask for one value of a label, and anyhow all others.
	byNamespace map[string][]int
	byLabel     map[string]map[string][]int
	anyhow      []int
}

func rivalsOf(p *Policy, others []Policy) *rivals {
	r := &rivals{}
	if !p.Rules.compiled {
		return r
	}
	for i := range others {
		o := &others[i]
		if o.Rules.StorageClass == p.Rules.StorageClass && o.Rules.compiled && o.Name != p.Name && rank(o, p) < 0 {
			r.ranked = append(r.ranked, o)
		}
	}
	slices.SortFunc(r.ranked, rank)
	for place, o := range r.ranked {
		r.arrange(place, &o.Rules)
	}
	return r
}

func (r *rivals) arrange(place int, rules *Rules) {
	if len(rules.ClaimNamespaces) > 0 {
		if r.byNamespace == nil {
			r.byNamespace = map[string][]int{}
		}
		for _, ns := range rules.ClaimNamespaces {
			r.byNamespace[ns] = append(r.byNamespace[ns], place)
		}
		return
	}
	key, value, ok := oneLabel(rules)
	if !ok {
		r.anyhow = append(r.anyhow, place)
		return
	}
	if r.byLabel == nil {
		r.byLabel = map[string]map[string][]int{}
	}
	if r.byLabel[key] == nil {
		r.byLabel[key] = map[string][]int{}
	}
	r.byLabel[key][value] = append(r.byLabel[key][value], place)
}

// oneLabel returns a label with the value that each volume the rules select
// must have.
func oneLabel(rules *Rules) (key, value string, ok bool) {
	requirements, _ := rules.Volumes.Requirements()
	for _, q := range requirements {
		if op := q.Operator(); op != selection.Equals && op != selection.In {
			continue
		}
		if values := q.ValuesUnsorted(); len(values) == 1 {
			return q.Key(), values[0], true
		}
	}
	return "", "", false
}

// winner returns the policy that wins the volume from the one these are the
// rivals of, or nil if none of them selects it.
func (r *rivals) winner(v *Volume) *Policy {
	if len(r.ranked) == 0 {
		return nil
	}
	best := len(r.ranked)
	try := func(places []int) {
		for _, place := range places {
			if place >= best {
				return
			}
			if r.ranked[place].Rules.Selects(v) {
				best = place
				return
			}
		}
	}
	try(r.anyhow)
	try(r.byNamespace[v.ClaimNamespace])
	for key, values := range r.byLabel {
		if value, ok := v.Labels[key]; ok {
			try(values[value])
		}
	}
	if best == len(r.ranked) {
		return nil
	}
	return r.ranked[best]
}

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

// Policies are the policies of a cluster that compile, arranged so that a volume
// is compared with few of them: a cluster may well have a thousand policies, one
// for each namespace or each tenant label. They are never changed, and may be
// shared by inputs. Nil is none.
type Policies struct {
	byName  map[string]*Policy
	byClass map[string]*ranking
}

// Arrange arranges policies, given in any order and none of them nil. It keeps
// them; each should lie in memory of its own, as a plan that is kept holds on to
// those that win a volume.
func Arrange(policies ...*Policy) *Policies {
	all := &Policies{byName: make(map[string]*Policy, len(policies)), byClass: make(map[string]*ranking)}
	for _, p := range policies {
		all.byName[p.Name] = p
		if !p.Rules.compiled {
			continue
		}
		r := all.byClass[p.Rules.StorageClass]
		if r == nil {
			r = &ranking{}
			all.byClass[p.Rules.StorageClass] = r
		}
		r.ranked = append(r.ranked, p)
	}
	for _, r := range all.byClass {
		slices.SortFunc(r.ranked, rank)
		for place, p := range r.ranked {
			r.arrange(place, &p.Rules)
		}
	}
	return all
}

// find returns the policy of a name, or nil.
func (all *Policies) find(name string) *Policy {
	if all == nil {
		return nil
	}
	return all.byName[name]
}

// ranking is the policies of one storage class. A disabled or dry-run policy is
// among them: to stop a policy must not hand its volumes to the next one.
type ranking struct {
	// ranked holds them all, the winner first; the rest are places in it,
	// ascending.
	ranked []*Policy
	// byNamespace holds those that name the claim's namespace, byLabel those
	// that ask for one value of a label, and anyhow all others.
	byNamespace map[string][]int
	byLabel     map[string]map[string][]int
	anyhow      []int
}

// rivals are the policies of one storage class that rank above one policy.
type rivals struct {
	*ranking
	// above is how many of the ranking they are; one of them may be an earlier
	// state of the policy of that name, which is none.
	above int
	name  string
}

func rivalsOf(p *Policy, others *Policies) *rivals {
	r := &rivals{name: p.Name}
	if !p.Rules.compiled || others == nil {
		return r
	}
	if r.ranking = others.byClass[p.Rules.StorageClass]; r.ranking != nil {
		r.above, _ = slices.BinarySearchFunc(r.ranked, p, rank)
	}
	return r
}

func (r *ranking) arrange(place int, rules *Rules) {
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
	if r.above == 0 {
		return nil
	}
	best := r.above
	try := func(places []int) {
		for _, place := range places {
			if place >= best {
				return
			}
			if o := r.ranked[place]; o.Name != r.name && o.Rules.Selects(v) {
				best = place
				return
			}
		}
	}
	try(r.anyhow)
	try(r.byNamespace[v.ClaimNamespace])
	if len(v.Labels) < len(r.byLabel) {
		for key, value := range v.Labels {
			try(r.byLabel[key][value])
		}
	} else {
		for key, values := range r.byLabel {
			if value, ok := v.Labels[key]; ok {
				try(values[value])
			}
		}
	}
	if best == r.above {
		return nil
	}
	return r.ranked[best]
}

package hooks

import (
	"bytes"
	"encoding/json"
	"slices"
	"sync"

	"github.com/billyronks/couchestor/tiering"
)

// policies remembers what specs compiled to, as each sync of each policy asks for
// all of them. All methods may be called at once.
type policies struct {
	mu sync.Mutex
	// known has those without faults, by name.
	known map[string]*compiled
	// last is what was last asked for.
	last *parliament
}

// compiled is a policy that compiles, and what it was compiled from.
type compiled struct {
	spec   json.RawMessage
	policy *tiering.Policy
}

// parliament is what a list of policies came to; it is never changed.
type parliament struct {
	of       []*parent
	policies []*tiering.Policy
	arranged *tiering.Policies
	// broken are the names of those that do not compile, in order.
	broken []string
}

// is reports whether a policy is compiled from exactly this object.
func (c *compiled) is(p *parent) bool {
	return c.policy.UID == p.UID && c.policy.Generation == p.Generation && c.policy.Created.Equal(p.Created) && bytes.Equal(c.spec, p.Spec)
}

// compiled returns what a policy compiles to, or its faults.
func (h *Hooks) compiled(p *parent) (*tiering.Policy, []error) {
	h.policies.mu.Lock()
	known := h.policies.known[p.Name]
	h.policies.mu.Unlock()
	if known != nil && known.is(p) {
		return known.policy, nil
	}
	policy, faults := h.compile(p)
	if len(faults) > 0 {
		return &policy, faults
	}
	h.policies.mu.Lock()
	defer h.policies.mu.Unlock()
	if h.policies.known == nil {
		h.policies.known = make(map[string]*compiled)
	}
	h.policies.known[p.Name] = &compiled{p.Spec, &policy}
	return &policy, nil
}

// all returns what all policies of a view compile to.
func (h *Hooks) all(view *View) *parliament {
	h.policies.mu.Lock()
	last := h.policies.last
	h.policies.mu.Unlock()
	if last != nil && last.of != nil && same(last.of, view.Policies) {
		return last
	}
	c := &parliament{}
	if h.config.Cluster != nil {
		c.of = view.Policies // What comes with a request does not come again.
	}
	for _, p := range view.Policies {
		if policy, faults := h.compiled(p); len(faults) > 0 {
			c.broken = append(c.broken, p.Name)
		} else {
			c.policies = append(c.policies, policy)
		}
	}
	if last != nil && slices.Equal(last.policies, c.policies) {
		c.arranged = last.arranged
	} else {
		c.arranged = tiering.Arrange(c.policies...)
	}
	h.policies.keep(c)
	return c
}

// keep remembers what a view came to, and forgets the policies that are not in it.
func (p *policies) keep(c *parliament) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = c
	if len(p.known) <= len(c.policies) {
		return
	}
	known := make(map[string]*compiled, len(c.policies))
	for _, policy := range c.policies {
		if was := p.known[policy.Name]; was != nil {
			known[policy.Name] = was
		}
	}
	p.known = known
}

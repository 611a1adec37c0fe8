package hooks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

// Preview is Kubernetes at one moment, to be decided on without an answer to
// anybody: nothing is started, logged or observed by it. Unlike a request it
// speaks of all policies, and policies that are only written down so far can be
// put into it. It is used by one goroutine.
type Preview struct {
	view View
	// children are Jobs that the request showed as its parent's, by policy.
	children map[string][]*job
}

// NewPreview makes a preview of a view.
func NewPreview(v *View) *Preview {
	return &Preview{view: *v}
}

// ReadPreview reads a saved sync or finalize request. It is less strict than the
// hooks, as nothing follows from it: claims and DiskPools may be there or not.
func ReadPreview(body io.Reader) (p *Preview, err error) {
	defer recovered(&err)
	d := newDecoder(body)
	var r request
	given := false
	err = d.members([]string{"parent", "children", "related", "finalizing"}, func(i int) (err error) {
		switch i {
		case 0:
			given = true
			r.Parent, err = d.policy(true)
		case 1:
			r.Children, err = d.children()
		case 2:
			r.Related, err = d.anyRelated()
		case 3:
			r.Finalizing, err = d.boolean()
		}
		return err
	})
	if err == nil {
		err = d.finish()
	}
	switch {
	case err != nil:
		return nil, asSaved(err)
	case !given:
		return nil, errors.New("it is no saved request of a hook: it has no parent")
	case r.Related == nil:
		return nil, errors.New("the saved request relates no PersistentVolumes, as where the service reads them itself (--volumes-from=api); give a kubeconfig instead")
	}
	r.Parent.Deleting = r.Parent.Deleting || r.Finalizing
	if err := r.sort(); err != nil {
		return nil, asSaved(err)
	}
	p = &Preview{view: *r.Related, children: map[string][]*job{r.Parent.Name: r.Children}}
	p.put(&r.Parent)
	return p, nil
}

// anyRelated reads what is related, whatever was asked for; nil if no volumes
// are.
func (d *decoder) anyRelated() (*View, error) {
	r, volumes := new(View), false
	err := d.object(func(kind []byte) error {
		switch key := string(kind); {
		case key == volumesKey:
			volumes = true
			return each(d, &r.Volumes, d.volume)
		case key == claimsKey:
			return each(d, &r.Claims, d.claim)
		case key == policiesKey:
			return each(d, &r.Policies, func() (parent, error) { return d.policy(true) })
		case key == jobsKey:
			return each(d, &r.Jobs, d.job)
		case strings.HasPrefix(key, "DiskPool."):
			return each(d, &r.DiskPools, d.diskPool)
		}
		return d.skip()
	})
	if err != nil || !volumes {
		return nil, err
	}
	return r, nil
}

// asSaved says of a saved request what a fault says of one that was sent.
func asSaved(err error) error {
	fault, ok := errors.AsType[*faultError](err)
	if !ok {
		return err
	}
	line, _, _ := strings.Cut(fault.line, "; nothing was done")
	return errors.New(line)
}

// put adds a policy, or takes it for the one of its name.
func (p *Preview) put(policy *parent) {
	at, found := slices.BinarySearchFunc(p.view.Policies, policy, byKey)
	// A copy, as lists of a view are never changed.
	p.view.Policies = slices.Clone(p.view.Policies)
	if found {
		p.view.Policies[at] = policy
		return
	}
	p.view.Policies = slices.Insert(p.view.Policies, at, policy)
}

func (p *Preview) find(policy string) *parent {
	at := slices.IndexFunc(p.view.Policies, func(have *parent) bool { return have.Name == policy })
	if at < 0 {
		return nil
	}
	return p.view.Policies[at]
}

// Policies returns the names of all policies, sorted.
func (p *Preview) Policies() []string {
	names := make([]string, 0, len(p.view.Policies))
	for _, policy := range p.view.Policies {
		names = append(names, policy.Name)
	}
	return names
}

// Count returns how many objects of a kind there are.
func (p *Preview) Count(kind Kind) int { return p.view.Count(kind) }

// Claims returns, by the name of each PersistentVolume of Mayastor's driver, its
// claim as namespace/name, "" while it is not bound.
func (p *Preview) Claims() map[string]string {
	claims := make(map[string]string, len(p.view.Volumes))
	for _, v := range p.view.Volumes {
		claims[v.Name] = v.Claim.text()
	}
	return claims
}

// Put takes policies as their authors write them, one or more documents of YAML
// or JSON, for the ones of their names, as if they were applied at now. It
// returns their names in the order of the text, or every fault of the text.
func (p *Preview) Put(text []byte, now time.Time) ([]string, error) {
	written, err := readManifests(text)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(written))
	for i, policy := range written {
		applied := &parent{Name: policy.Name, Generation: 1, Created: now}
		if have := p.find(policy.Name); have != nil {
			*applied = *have
			if !sameRules(have, policy) {
				applied.Generation++
			}
		}
		applied.Spec = policy.Spec
		p.put(applied)
		names[i] = policy.Name
	}
	return names, nil
}

// Previewed is what would be decided.
type Previewed struct {
	// Plan is nil if the policy has faults; the status says which.
	Plan   *tiering.Plan
	Status *tiering.StoragePolicyStatus
	// At is when it was decided.
	At time.Time
}

// Preview decides on one policy as a sync would, by the same code.
func (h *Hooks) Preview(ctx context.Context, p *Preview, policy string) (Previewed, error) {
	parent := p.find(policy)
	if parent == nil {
		return Previewed{}, fmt.Errorf("there is no policy %s", clip(policy))
	}
	q := &request{Parent: *parent, Finalizing: parent.Deleting, Related: &p.view, Children: p.children[policy]}
	if q.Children == nil {
		for _, j := range p.view.Jobs {
			if r := readRun(j, false); r.ours(parent) {
				q.Children = append(q.Children, j)
			}
		}
	}
	before, err := readStatus(parent)
	if err != nil {
		return Previewed{}, asSaved(err)
	}
	rs := readRuns(q)
	recorded := readHistory(before.MigrationHistory)
	entries, _ := h.unrecorded(q, rs, recorded)
	next := before.StoragePolicyStatus
	next.MigrationHistory = slices.Clone(next.MigrationHistory)
	tiering.Record(&next, entries...)
	c := h.decide(ctx, q, rs, recorded, nil, &before.StoragePolicyStatus, next)
	if err := ctx.Err(); err != nil {
		return Previewed{}, context.Cause(ctx)
	}
	return Previewed{Plan: c.plan, Status: &c.status, At: c.now}, nil
}

// ReadPolicies reads a list of policies with their statuses, as the API server
// sends it, and takes them for those of their names.
func (p *Preview) ReadPolicies(body io.Reader) (err error) {
	defer recovered(&err)
	d := newDecoder(body)
	err = d.members([]string{"items"}, func(int) error {
		if null, err := d.null(); null || err != nil {
			return err
		}
		return d.array(func() error {
			policy, err := d.policy(true)
			if err == nil {
				p.put(&policy)
			}
			return err
		})
	})
	if err == nil {
		err = d.finish()
	}
	if err != nil {
		return asSent(err)
	}
	return nil
}

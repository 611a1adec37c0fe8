package hooks

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// bound are the volumes of a view joined with their claims: what of a decision's
// volumes depends on Kubernetes alone, and is the same for all policies. But for
// what it remembers of them it is never changed.
type bound struct {
	// volumes are in the order of names.
	volumes []*boundVolume
	// first is the place of the first volume of a handle, and shared is how many
	// volumes have it, of those that several have; nil for none.
	first  map[string]int
	shared map[string]int
	// of is the view it was made of.
	of *View
	// remembers is true if what it remembers is of use to another request.
	remembers bool
}

// boundVolume is a volume with what its claim says of it. The next bound has the
// same one while neither has changed.
type boundVolume struct {
	*volume
	// claim is the one that has a say, or nil.
	claim *claim
	// labels are the volume's joined with its claim's.
	labels labels.Set
	// fault is empty, or why it is not known which volume of Mayastor this is.
	fault string

	// last is the volume as it was last joined, with what Mayastor said of it; nil
	// if it never was. reading numbers the last reading that says so.
	last    *tiering.Volume
	said    mayastor.Packed
	reading uint64
}

// bind joins the volumes of a view with their claims. What has not changed since
// the last bound is taken from there; that is nil if there is none.
func bind(view *View, last *bound) *bound {
	b := &bound{of: view, volumes: make([]*boundVolume, len(view.Volumes)), remembers: last != nil}
	if last == nil {
		last = &bound{of: &View{}}
	}
	old, sameClaims := last.volumes, same(last.of.Claims, view.Claims)
	// A volume that is held for long must not hold the others.
	var all []boundVolume
	if !b.remembers {
		all = make([]boundVolume, len(view.Volumes))
	}
	sameHandles := len(old) == len(view.Volumes) && last.first != nil
	for i, pv := range view.Volumes {
		for len(old) > 0 && old[0].volume != pv && old[0].Name < pv.Name {
			old = old[1:]
		}
		var was *boundVolume
		if len(old) > 0 && old[0].Name == pv.Name {
			was, old = old[0], old[1:]
		}
		sameHandles = sameHandles && was != nil && was.Handle == pv.Handle
		unchanged := was != nil && was.volume == pv
		if unchanged && sameClaims {
			b.volumes[i] = was
			continue
		}
		c := claimOf(pv, view.Claims)
		if unchanged && was.claim == c {
			b.volumes[i] = was
			continue
		}
		var v *boundVolume
		if b.remembers {
			v = new(boundVolume)
		} else {
			v = &all[i]
		}
		*v = boundVolume{volume: pv, claim: c, labels: joinLabels(pv, c)}
		if !validUUID(pv.Handle) {
			v.fault = fmt.Sprintf("the PersistentVolume's volumeHandle %q is no uuid, so its volume in Mayastor is not known; look at who made it", clip(pv.Handle))
		}
		b.volumes[i] = v
	}
	if sameHandles {
		b.first, b.shared = last.first, last.shared
	} else {
		b.index()
	}
	return b
}

// index finds which volumes have which handle.
func (b *bound) index() {
	b.first = make(map[string]int, len(b.volumes))
	for i, pv := range b.volumes {
		if _, ok := b.first[pv.Handle]; !ok {
			b.first[pv.Handle] = i
			continue
		}
		if b.shared == nil {
			b.shared = make(map[string]int)
		}
		b.shared[pv.Handle] = max(b.shared[pv.Handle], 1) + 1
	}
}

// shares returns how many volumes have the handle, if that is not one, and why
// the memory of none of them counts.
func (b *bound) shares(handle string) (why string, ok bool) {
	if len(b.shared) == 0 {
		return "", false
	}
	n, ok := b.shared[handle]
	if !ok {
		return "", false
	}
	return fmt.Sprintf("%d PersistentVolumes have the volumeHandle %s, so it is not known which one's memory counts; leave one of them", n, handle), true
}

// touch marks the first volume of a handle.
func (b *bound) touch(marks []mark, handle string) {
	if i, ok := b.first[handle]; ok {
		marks[i] = touched
	}
}

// has reports whether it is that of the view's volumes and claims; other kinds
// may have changed since.
func (b *bound) has(view *View) bool {
	return same(b.of.Volumes, view.Volumes) && same(b.of.Claims, view.Claims)
}

// same reports whether two lists that are never changed are one.
func same[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// boundCache keeps what the last view of the service's own came to. What comes
// with a request is not kept, as no other request has it.
type boundCache struct {
	mu   sync.Mutex
	last *bound
}

// join is as that of [bound], of the volumes of a view. Syncs take turns, as all
// remember the same volumes.
func (c *boundCache) join(view *View, j *joining) []*tiering.Volume {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		c.last = &bound{of: &View{}}
	}
	if !c.last.has(view) {
		c.last = bind(view, c.last)
	}
	return c.last.join(j)
}

// claimOf returns the claim that a volume is bound to, or nil. A claim of the same
// name that is not the one the volume is bound to has no say.
func claimOf(pv *volume, claims []*claim) *claim {
	i, ok := slices.BinarySearchFunc(claims, key{pv.Claim.Namespace, pv.Claim.Name}, func(c *claim, k key) int { return compareKeys(c.key(), k) })
	if !ok || pv.Claim.UID != "" && claims[i].UID != "" && pv.Claim.UID != claims[i].UID {
		return nil
	}
	return claims[i]
}

// joinLabels returns the volume's labels joined with those of its claim, which
// win.
func joinLabels(pv *volume, c *claim) labels.Set {
	if c == nil || len(c.Labels) == 0 {
		return pv.Labels
	}
	if len(pv.Labels) == 0 {
		return c.Labels
	}
	joined := make(labels.Set, len(pv.Labels)+len(c.Labels))
	maps.Copy(joined, pv.Labels)
	maps.Copy(joined, c.Labels)
	return joined
}

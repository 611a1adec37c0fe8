package mayastor

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
)

// Inventory is one reading of the whole control plane. It is not a snapshot:
// pages may skip or repeat a volume under concurrent deletes (MS 1.4). It is
// never changed after it was read.
type Inventory struct {
	// At is when the reading began: what changed later may be missing from it.
	At time.Time
	// Volumes are sorted by uuid, without duplicates; Pools and Nodes by id.
	Volumes []Packed
	Pools   []Pool
	Nodes   []Node
	// Capability of the server.
	Capability Capability
	// PoolOnlineSince and NodeOnlineSince hold, for what is Online now, the
	// time of the first of the unbroken run of readings that saw it so.
	PoolOnlineSince map[string]time.Time
	NodeOnlineSince map[string]time.Time
}

// Find returns the place of a volume in Volumes, by a search that takes no memory.
func (i *Inventory) Find(uuid string) (place int, ok bool) {
	plain := ""
	if len(uuid) == uuidText && isUUID(uuid) {
		id := parseUUID(uuid)
		plain = plainUUID + string(id[:])
	}
	return slices.BinarySearchFunc(i.Volumes, uuid, func(p Packed, uuid string) int {
		if plain != "" && strings.HasPrefix(p.text, plainUUID) {
			return cmp.Compare(p.text[:plainBytes], plain)
		}
		return cmp.Compare(p.UUID(), uuid)
	})
}

// Inventory reads the whole control plane: volumes in pages, and pools, nodes
// and the API description in one request each, one after the other, as the
// server is small (MS 1.1). Any error means that there is no reading at all: a
// part of the truth would look like the whole. prev is the reading before, or
// nil; claimed is as for [Reader.Capability]; now becomes At.
func (r *Reader) Inventory(ctx context.Context, prev *Inventory, claimed string, now time.Time) (*Inventory, error) {
	capability, err := r.Capability(ctx, claimed)
	if err != nil {
		return nil, err
	}
	nodes, err := r.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	pools, err := r.Pools(ctx)
	if err != nil {
		return nil, err
	}
	if prev == nil {
		prev = &Inventory{}
	}
	volumes, err := r.Volumes(ctx, prev.Volumes)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(pools, func(a, b Pool) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	i := &Inventory{
		At: now, Volumes: volumes, Pools: pools, Nodes: nodes, Capability: capability,
		PoolOnlineSince: map[string]time.Time{}, NodeOnlineSince: map[string]time.Time{},
	}
	for _, p := range pools {
		if p.State != nil && p.State.Status == StatusOnline {
			i.PoolOnlineSince[p.ID] = since(prev.PoolOnlineSince, p.ID, now)
		}
	}
	for _, n := range nodes {
		if n.State != nil && n.State.Status == StatusOnline {
			i.NodeOnlineSince[n.ID] = since(prev.NodeOnlineSince, n.ID, now)
		}
	}
	return i, nil
}

// since carries over what the reading before knew.
func since(before map[string]time.Time, id string, now time.Time) time.Time {
	if t, ok := before[id]; ok {
		return t
	}
	return now
}

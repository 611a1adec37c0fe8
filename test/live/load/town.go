package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/simulator"
)

const (
	mib = int64(1) << 20
	gib = int64(1) << 30

	// Replicas are small, so that a move takes seconds.
	written     = 256 * mib
	rebuildRate = 100 * mib

	tierLabel   = "storage-tier"
	tenantLabel = "example.com/tenant"
	namespace   = "couchestor-system"
)

// windows are the sampling windows of the policies, in turn.
var windows = []time.Duration{time.Hour, 30 * time.Minute, 2 * time.Hour}

// tiers and the pools that make them.
var tiers = []struct {
	name, pool string
	latency    time.Duration
}{
	{"hot", "nvme", 100 * time.Microsecond},
	{"warm", "ssd", 500 * time.Microsecond},
	{"cold", "sata", 5 * time.Millisecond},
}

// town is a cluster as large as wanted: what exists, and how busy it is.
type town struct {
	rng      *rand.Rand
	nodes    int
	policies []*policy
	sim      *simulator.Simulator

	mu sync.Mutex
	// volumes by uuid, and those that churn may touch, in order.
	volumes map[string]*volume
	loose   []*volume
	made    int
}

// policy is a StoragePolicy.
type policy struct {
	index     int
	name, uid string
	window    time.Duration
	warm      bool
}

func (p *policy) class() string { return fmt.Sprintf("mayastor-%d", p.index/2) }

// volume is one volume, its claim included.
type volume struct {
	index  int
	uuid   string
	policy *policy
	pools  []string
	// target is the node where it is published; empty if it is not.
	target string
	load   load

	mu sync.Mutex
	// attempt and lastMigration are the annotations that migrators write.
	attempt, lastMigration string
	// touched counts changes that concern nobody.
	touched int
}

// load is the IOPS of a volume, which may change once.
type load struct {
	before, after float64
	// turns is when; zero is never.
	turns time.Time
}

// newTown makes a cluster without volumes.
func newTown(volumes, policies int) *town {
	t := &town{
		rng: rand.New(rand.NewPCG(7, 11)), nodes: min(200, max(6, volumes/500)), volumes: make(map[string]*volume, volumes),
		sim: simulator.New(simulator.Config{Profile: simulator.V2_10, RebuildRate: rebuildRate, Latency: 20 * time.Millisecond, Seed: 1}),
	}
	for i := range policies {
		t.policies = append(t.policies, &policy{
			index: i, name: fmt.Sprintf("policy-%02d", i), uid: fmt.Sprintf("70110000-0000-4000-8000-%012d", i),
			window: windows[i%len(windows)], warm: i%5 == 4,
		})
	}
	for n := range t.nodes {
		t.sim.AddNode(simulator.Node{ID: node(n)})
		for _, tier := range tiers {
			t.sim.AddPool(simulator.Pool{
				ID: pool(tier.pool, n), Node: node(n), Capacity: 200 << 40, Latency: tier.latency,
				Labels: map[string]string{tierLabel: tier.name},
			})
		}
	}
	return t
}

func node(n int) string               { return fmt.Sprintf("storage-%03d", n) }
func pool(media string, n int) string { return fmt.Sprintf("%s-%03d", media, n) }

// windows counts the different ones of the policies.
func (t *town) windows() int { return min(len(windows), len(t.policies)) }

// settle adds a volume that is where it belongs: six of ten idle on SATA, the rest
// busy on NVMe, on SSD, or between the watermarks. One of seven is not published, and
// one of three was moved before, by a policy of the same name that is gone.
func (t *town) settle() *volume {
	i := t.made
	t.made++
	p := t.policies[i%len(t.policies)]
	v := &volume{index: i, uuid: fmt.Sprintf("%08x-77aa-4000-8000-%012x", uint32(i)*2654435761, i), policy: p}
	media, iops := "sata", 400*t.rng.Float64()
	switch dice := t.rng.IntN(10); {
	case dice < 2:
		media, iops = "nvme", 6000+14000*t.rng.Float64()
	case dice == 2 && p.warm:
		media, iops = "ssd", 2200+2500*t.rng.Float64()
	case dice == 3:
		media, iops = "nvme", 700+1000*t.rng.Float64()
	}
	v.load = load{before: iops}
	home := t.rng.IntN(t.nodes)
	for r := range 2 + t.rng.IntN(2) {
		v.pools = append(v.pools, pool(media, (home+r)%t.nodes))
	}
	if t.rng.IntN(7) > 0 {
		v.target = node(home)
	}
	if i%3 == 0 {
		at := time.Date(2025, 12, 1, 0, 0, i, 0, time.UTC)
		v.attempt = text(mayastor.Attempt{
			N: 1, Move: "couchestor-" + v.uuid + "-1", Policy: p.name, Generation: 3, From: "hot", To: "cold", State: mayastor.Moved, At: at,
		})
		v.lastMigration = at.Format(time.RFC3339)
	}
	t.add(v, true)
	return v
}

// mover adds a volume that will cross a watermark: an idle one that turned busy, or
// the reverse. When it turned is said later.
func (t *town) mover() *volume {
	i := t.made
	t.made++
	p := t.policies[i%len(t.policies)]
	v := &volume{index: i, uuid: fmt.Sprintf("%08x-77aa-4000-8000-%012x", uint32(i)*2654435761, i), policy: p}
	media := "sata"
	v.load = load{before: 100, after: 10_000}
	if i/len(t.policies)%2 == 1 {
		media, v.load = "nvme", load{before: 8000, after: 20}
	}
	home := t.rng.IntN(t.nodes)
	for r := range 2 + i%2 {
		v.pools = append(v.pools, pool(media, (home+r)%t.nodes))
	}
	v.target = node(home)
	t.add(v, false)
	return v
}

// crossing says that the volume's average over its policy's window crosses the
// watermark at the given time. Up it is 5000; down it is 450, as an edge counts
// below nine tenths only.
func (v *volume) crossing(at time.Time) {
	edge := 5000.0
	if v.load.after < v.load.before {
		edge = 450
	}
	part := (edge - v.load.before) / (v.load.after - v.load.before)
	v.load.turns = at.Add(-time.Duration(part * float64(v.policy.window)))
}

// add makes the volume. It stays unpublished where its node takes no target, as it
// does while a migrator has it cordoned: its pod has to wait.
func (t *town) add(v *volume, loose bool) {
	t.sim.AddVolume(simulator.Volume{
		UUID: v.uuid, Size: 10 * gib, Allocated: written, Pools: v.pools,
		Load: simulator.Load{ReadIOPS: 0.7 * v.load.before, WriteIOPS: 0.3 * v.load.before},
	})
	if v.target != "" && t.sim.Publish(v.uuid, v.target) != nil {
		v.target = ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.volumes[v.uuid] = v
	if loose {
		t.loose = append(t.loose, v)
	}
}

// volume returns the one with the uuid, or nil.
func (t *town) volume(uuid string) *volume {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.volumes[uuid]
}

// hold keeps churn from the volume.
func (t *town) hold(uuid string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.loose = slices.DeleteFunc(t.loose, func(v *volume) bool { return v.uuid == uuid })
}

// any is a volume that churn may touch; one that is dropped is none any more.
func (t *town) any(drop bool) *volume {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.rng.IntN(len(t.loose))
	v := t.loose[at]
	if drop {
		t.loose[at] = t.loose[len(t.loose)-1]
		t.loose = t.loose[:len(t.loose)-1]
		delete(t.volumes, v.uuid)
	}
	return v
}

// remember sets the annotations and reports whether they differ from before.
func (v *volume) remember(attempt, lastMigration string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	news := v.attempt != attempt || v.lastMigration != lastMigration
	v.attempt, v.lastMigration = attempt, lastMigration
	return news
}

// touch changes something that concerns nobody.
func (v *volume) touch() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.touched++
}

// ops is how many operations the volume did from one time to another.
func (l load) ops(from, to time.Time) float64 {
	if l.turns.IsZero() || !to.After(l.turns) {
		return l.before * to.Sub(from).Seconds()
	}
	if !from.Before(l.turns) {
		return l.after * to.Sub(from).Seconds()
	}
	return l.ops(from, l.turns) + l.after*to.Sub(l.turns).Seconds()
}

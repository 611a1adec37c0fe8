package simulator

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// actor is on whose behalf the world changes.
type actor int

const (
	system  actor = iota // the control plane by itself
	foreign              // a test's act: nodes dying, users scaling
	caller               // who calls over HTTP: the program under test
)

// ReplicaTruth is what a replica really holds, which REST never tells.
type ReplicaTruth struct {
	UUID, Pool, Node string
	Synced           bool    // holds every byte written, and serves it
	Blank            bool    // never held the data
	Rebuilt          float64 // 0 to 1 while a rebuild runs
	Reachable        bool    // its pool and node serve
	Child            string  // state as a nexus child right now; empty: none
}

// PoolCordon is a pool's set of cordon flags (MS 3.3).
type PoolCordon struct {
	Replicas  bool `json:"replicas"`
	Snapshots bool `json:"snapshots"`
	Restores  bool `json:"restores"`
	Import    bool `json:"import"`
}

// Cordons lists what is cordoned; what is not is absent.
type Cordons struct {
	Pools map[string]PoolCordon
	Nodes map[string][]string // labels in the order they were set
}

// Counts says how often the caller's PUTs changed num_replicas of a volume.
type Counts struct{ Ups, Downs int }

// View shows a consistent world to an observer. It is valid only inside the
// call it was passed to.
type View struct {
	s     *Simulator
	cause string
}

// OnChange has watch called after each change of the world, by whomever, while
// it is consistent. It runs under the simulator's lock: it must use the View
// only and never call the simulator.
func (s *Simulator) OnChange(watch func(View)) {
	s.locked(func() { s.watchers = append(s.watchers, watch) })
}

// Cause is what changed the world, in words.
func (w View) Cause() string { return w.cause }

// Now is the instant of the change.
func (w View) Now() time.Time { return w.s.clock }

// Volumes lists the uuids in list order.
func (w View) Volumes() []string { return slices.Clone(w.s.volumes.keys) }

// Replicas is num_replicas; 0 for an unknown volume.
func (w View) Replicas(volume string) int {
	if v, ok := w.s.volumes.get(volume); ok {
		return v.want
	}
	return 0
}

// Truth is as [Simulator.Truth].
func (w View) Truth(volume string) []ReplicaTruth {
	v, ok := w.s.volumes.get(volume)
	if !ok {
		return nil
	}
	var list []ReplicaTruth
	for _, r := range w.s.owned(v) {
		t := ReplicaTruth{
			UUID: r.uuid, Pool: r.pool.id, Node: r.pool.node.id,
			Synced: w.s.synced(v, r), Blank: r.blank, Reachable: r.pool.online(),
		}
		if c := v.child(r); c != nil {
			t.Child = c.state
			if c.job != nil {
				t.Rebuilt = w.s.fraction(c.job)
			}
		}
		list = append(list, t)
	}
	return list
}

// Synced is the number of fully synced copies.
func (w View) Synced(volume string) int {
	if v, ok := w.s.volumes.get(volume); ok {
		return w.s.countSynced(v)
	}
	return 0
}

// Cordons is as [Simulator.Cordons].
func (w View) Cordons() Cordons {
	c := Cordons{Pools: map[string]PoolCordon{}, Nodes: map[string][]string{}}
	for _, p := range w.s.pools.values {
		if p.cordon != (PoolCordon{}) {
			c.Pools[p.id] = p.cordon
		}
	}
	for _, n := range w.s.nodes.values {
		if len(n.cordons) > 0 {
			c.Nodes[n.id] = slices.Clone(n.cordons)
		}
	}
	return c
}

// Look calls f with a view of the world as it is now.
func (s *Simulator) Look(f func(View)) { s.locked(func() { f(View{s, "look"}) }) }

// Truth returns the replicas a volume owns, in the core's map order; nil for an
// unknown volume.
func (s *Simulator) Truth(volume string) (t []ReplicaTruth) {
	s.Look(func(w View) { t = w.Truth(volume) })
	return t
}

// Synced is the number of fully synced copies of a volume right now.
func (s *Simulator) Synced(volume string) (n int) {
	s.Look(func(w View) { n = w.Synced(volume) })
	return n
}

// Replicas is num_replicas of a volume; 0 when it is gone.
func (s *Simulator) Replicas(volume string) (n int) {
	s.Look(func(w View) { n = w.Replicas(volume) })
	return n
}

// Volumes lists the uuids in list order.
func (s *Simulator) Volumes() (list []string) {
	s.Look(func(w View) { list = w.Volumes() })
	return list
}

// Cordons lists pool flags and node labels in force, whoever set them.
func (s *Simulator) Cordons() (c Cordons) {
	s.Look(func(w View) { c = w.Cordons() })
	return c
}

// Violations are the sentences about what the caller must never do and did. It
// is empty, never nil, when there are none.
func (s *Simulator) Violations() (list []string) {
	s.locked(func() { list = append([]string{}, s.violations...) })
	return list
}

// Counts says how often the caller scaled a volume with success.
func (s *Simulator) Counts(volume string) (c Counts) {
	s.locked(func() {
		if v, ok := s.volumes.get(volume); ok {
			c = Counts{v.ups, v.downs}
		}
	})
	return c
}

// Mark starts measuring a volume anew: num_replicas of now is how many synced
// copies the caller must keep, as far as others leave them, and LowestSynced
// begins here. Adding a volume marks it.
func (s *Simulator) Mark(volume string) {
	s.locked(func() {
		if v, ok := s.volumes.get(volume); ok {
			s.remark(v)
		}
	})
}

// LowestSynced is the smallest number of synced copies since the mark (or since
// the volume was added), whoever caused it.
func (s *Simulator) LowestSynced(volume string) (n int) {
	s.locked(func() {
		if v, ok := s.volumes.get(volume); ok {
			n = v.truth.lowest
		}
	})
	return n
}

// AllowReduced lets the caller leave as few as floor synced copies of a volume,
// for moves with reduced redundancy. Losing the last one stays a violation.
func (s *Simulator) AllowReduced(volume string, floor int) {
	s.locked(func() {
		if v, ok := s.volumes.get(volume); ok {
			v.truth.allow = floor
		}
	})
}

func (s *Simulator) remark(v *volume) {
	n := s.countSynced(v)
	v.truth.wanted, v.truth.synced, v.truth.lowest = v.want, n, n
}

// synced says whether r holds every byte written to v and serves it. The
// background writer writes to every live nexus all the time, so whoever is not
// a healthy child of one falls behind at once.
func (s *Simulator) synced(v *volume, r *replica) bool {
	if !r.pool.online() {
		return false
	}
	if v.empty {
		return true
	}
	if c := v.child(r); c != nil && c.state != "Online" {
		return false
	}
	return !r.blank && r.version == v.version
}

func (s *Simulator) countSynced(v *volume) int {
	n := 0
	for _, r := range v.own {
		if s.synced(v, r) {
			n++
		}
	}
	return n
}

// write lets the background writer of v's nexus write once.
func (v *volume) write() {
	if v.nexus == nil || !v.nexus.node.up {
		return
	}
	wrote := false
	for _, c := range v.nexus.children {
		if c.state == "Online" && c.replica.pool.online() {
			if !wrote {
				v.version++
				wrote = true
			}
			c.replica.version = v.version
		}
	}
}

// changed settles the truth after a change of v (nil: no volume's) and calls the
// observers. Every mutation ends here.
func (s *Simulator) changed(v *volume, cause string) {
	if v != nil {
		v.write()
		s.judge(v, cause)
		cause = "volume " + v.uuid + ": " + cause
	}
	s.wakeHeal()
	for _, watch := range s.watchers {
		watch(View{s, cause})
	}
}

// judge compares the synced copies of v with what the caller must keep: those
// there were before its act, as far as they are wanted. What others lost so
// recently that no read shows it yet, the caller cannot know of.
func (s *Simulator) judge(v *volume, cause string) {
	t := &v.truth
	now := s.countSynced(v)
	unseen := s.clock.Add(-s.cfg.KeepAlive - s.cfg.CachePeriod)
	t.losses = slices.DeleteFunc(t.losses, func(at time.Time) bool { return at.Before(unseen) })
	if now < t.synced && s.actor != caller {
		t.losses = append(t.losses, slices.Repeat([]time.Time{s.clock}, t.synced-now)...)
	}
	if s.actor != caller {
		t.strayed = max(0, t.strayed+t.synced-now)
	}
	if now < t.synced && s.actor == caller {
		floor := min(t.synced, t.wanted-len(t.losses))
		if v.owes {
			floor = min(floor, t.wanted-t.strayed)
		}
		if t.allow >= 0 {
			floor = min(floor, t.allow)
		}
		switch {
		case now == 0:
			s.violate("volume %s: the last fully synced copy was lost by the caller (%s)", v.uuid, cause)
		case now < floor:
			s.violate("volume %s: the caller left %d fully synced copies where %d must stay (%s)", v.uuid, now, floor, cause)
		}
	}
	t.synced = now
	t.lowest = min(t.lowest, now)
}

// violate records a sentence about what must never happen.
func (s *Simulator) violate(format string, args ...any) {
	s.violations = append(s.violations, s.clock.UTC().Format(time.RFC3339Nano)+" "+fmt.Sprintf(format, args...))
}

// as runs f on behalf of who.
func (s *Simulator) as(who actor, f func()) {
	old := s.actor
	s.actor = who
	defer func() { s.actor = old }()
	f()
}

// sortedKeys is for answers and messages: no map order ever shows.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

package moves

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/mayastor/leases"
	"github.com/billyronks/couchestor/test/cluster/rig"
	"github.com/billyronks/couchestor/test/simulator"
)

// door is one process's way to Mayastor. Whatever goes through it is known to
// be that process's doing.
type door struct {
	name, url string

	process sync.Mutex
	running *rig.Process

	mu      sync.Mutex
	reads   int
	effects []string
	// before and after, if set, run around each call, the nth of its kind from
	// 1: reads and side effects are counted apart.
	before, after func(n int, r *http.Request)
}

// proc is the process behind the door.
func (d *door) proc() *rig.Process {
	d.process.Lock()
	defer d.process.Unlock()
	return d.running
}

// Effects are the side effects asked for so far, as method and path.
func (d *door) Effects() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.effects)
}

// Reads is how often something was read so far.
func (d *door) Reads() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reads
}

// door opens a door.
func (s *scene) door(name string) *door {
	s.t.Helper()
	d := &door{name: name}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.pass(d, w, r) }))
	d.url = server.URL
	s.t.Cleanup(func() {
		// Connections of a process that is paused would never be idle.
		server.CloseClientConnections()
		server.Close()
	})
	return d
}

// pass lets a call through.
func (s *scene) pass(d *door, w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	var n int
	effect := r.Method != http.MethodGet
	if effect {
		d.effects = append(d.effects, r.Method+" "+r.URL.Path)
		n = len(d.effects)
	} else {
		d.reads++
		n = d.reads
	}
	before, after := d.before, d.after
	d.mu.Unlock()
	if before != nil {
		before(n, r)
	}
	if effect {
		s.asked(d, r)
	}
	seen := &status{ResponseWriter: w}
	s.sim.ServeHTTP(seen, r)
	if effect && seen.code == http.StatusOK {
		s.done(d, r)
	}
	if after != nil {
		after(n, r)
	}
}

// status remembers the status of an answer.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

// watchman looks at every instant that there is at most one mover of a volume,
// one placement at a time, and no more moves than there are places.
type watchman struct {
	t *testing.T

	mu sync.Mutex
	// movers are the doors that changed a volume's replicas, in their order.
	movers map[string][]*door
	// cordons are those that are up, and whose they are.
	cordons map[string]*door
	// replicas are those that each volume began with.
	replicas map[string]int
	// caps hold for whoever enters the ledger.
	caps    mayastor.Caps
	entered map[string]bool // the volumes in the ledger, as of its last version
	still   int             // volumes that may be in motion though caps.Moves is less
	moving  int             // see most
	entries int
	fullest load
}

// load is what all moves in the ledger load together.
type load struct {
	bytes     int64
	pool, one int // the most moves on one pool, and from one node
}

// loaded adds up what is in the ledger.
func loaded(running []mayastor.Admission) (l load) {
	pools, nodes := map[string]int{}, map[string]int{}
	for _, a := range running {
		l.bytes += a.Bytes
		for _, p := range a.ToPools {
			pools[p]++
			l.pool = max(l.pool, pools[p])
		}
		for _, n := range a.FromNodes {
			nodes[n]++
			l.one = max(l.one, nodes[n])
		}
	}
	return l
}

func watch(t *testing.T, s *scene) *watchman {
	t.Helper()
	w := &watchman{t: t, movers: map[string][]*door{}, cordons: map[string]*door{}, replicas: map[string]int{}, caps: mayastor.Caps{Moves: 2}}
	s.sim.OnChange(w.look)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		api := s.rig.Client.CoordinationV1().Leases(s.ns)
		for ctx.Err() == nil {
			events, err := api.Watch(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + leases.ClusterName})
			if err != nil {
				await(ctx, 100*time.Millisecond) // the API server is down
				continue
			}
			for e := range events.ResultChan() {
				if l, ok := e.Object.(*coordinationv1.Lease); ok {
					w.ledger(l)
				}
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return w
}

// await lets d pass, or less if ctx ends.
func await(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// expect says how many replicas a volume has.
func (w *watchman) expect(volume string, replicas int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replicas[volume] = replicas
}

// most is how many moves were in the ledger, and how many volumes in motion, at
// once.
func (w *watchman) most() (entries, moving int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.entries, w.moving
}

// look counts the volumes that are in motion, after each change of the world.
func (w *watchman) look(v simulator.View) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var moving []string
	for volume, n := range w.replicas {
		if v.Replicas(volume) != n || len(v.Truth(volume)) != n {
			moving = append(moving, volume)
		}
	}
	w.moving = max(w.moving, len(moving))
	if most := max(w.caps.Moves, w.still); len(moving) > most {
		w.t.Errorf("%d volumes are in motion and there are %d places: %s", len(moving), most, moving)
	}
}

// ledger counts the moves that the cluster's Lease names, in each of its
// versions.
func (w *watchman) ledger(l *coordinationv1.Lease) {
	text := l.Annotations["storage.billyronks.io/admissions"]
	if text == "" {
		return
	}
	var running []mayastor.Admission
	if err := json.Unmarshal([]byte(text), &running); err != nil {
		w.t.Errorf("the ledger cannot be read: %v: %s", err, text)
		return
	}
	volumes := map[string]bool{}
	for _, a := range running {
		volumes[a.Volume] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.entered
	w.entries, w.entered = max(w.entries, len(running)), volumes
	is := loaded(running)
	w.fullest = load{max(w.fullest.bytes, is.bytes), max(w.fullest.pool, is.pool), max(w.fullest.one, is.one)}
	if len(volumes) != len(running) {
		w.t.Errorf("the ledger names a volume twice: %s", text)
	}
	if !slices.ContainsFunc(running, func(a mayastor.Admission) bool { return !before[a.Volume] }) {
		return // nobody entered; who is in stays, however the caps were lowered
	}
	over := func(have, most int) bool { return most > 0 && have > most }
	if c := w.caps; over(len(running), c.Moves) || over(int(is.bytes), int(c.Bytes)) && len(running) > 1 || over(is.pool, c.PerPool) || over(is.one, c.PerNode) {
		w.t.Errorf("a move entered the ledger beyond the caps %+v: %s", c, text)
	}
}

// allow says what may enter the ledger from now on. Moves that run may go on.
func (w *watchman) allow(c mayastor.Caps) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.still, w.caps = w.caps.Moves, c
}

// seen is the most that was in the ledger at once.
func (w *watchman) seen() (entries int, l load) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.entries, w.fullest
}

// asked judges a side effect before it is done.
func (w *watchman) asked(d *door, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if volume, ok := scaled(r); ok {
		movers := w.movers[volume]
		switch i := slices.Index(movers, d); {
		case i < 0:
			w.movers[volume] = append(movers, d)
		case i < len(movers)-1:
			w.t.Errorf("%s moves volume %s, which %s took over: %s", d.name, volume, movers[len(movers)-1].name, r.URL.Path)
		}
	}
	if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/cordon") {
		for what, whose := range maps.All(w.cordons) {
			if whose != d {
				w.t.Errorf("%s cordons %s while %s of %s is up", d.name, r.URL.Path, what, whose.name)
			}
		}
	}
}

// done notes a side effect that took place.
func (w *watchman) done(d *door, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !strings.Contains(r.URL.Path, "/cordon") {
		return
	}
	if r.Method == http.MethodPut {
		w.cordons[r.URL.Path] = d
	} else {
		delete(w.cordons, r.URL.Path)
	}
}

// scaled returns the volume whose replica count the request sets.
func scaled(r *http.Request) (volume string, ok bool) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if r.Method == http.MethodPut && len(parts) == 5 && parts[3] == "replica_count" {
		return parts[2], true
	}
	return "", false
}

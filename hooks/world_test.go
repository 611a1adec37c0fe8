package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// sources are fake Sources that may be changed between two requests.
type sources struct {
	scores   tiering.Scores
	mayastor Mayastor
}

func (s *sources) Scores(context.Context, time.Duration) tiering.Scores { return s.scores }

func (s *sources) Mayastor(context.Context) Mayastor { return s.mayastor }

// busy and idle give a volume a score with full coverage.
func (s *sources) score(i int, iops float64) {
	sample, err := tiering.NewSample(iops, 100)
	if err != nil {
		panic(err)
	}
	s.scores.Samples["pvc-"+uuid(i)] = sample
}

const (
	busy   = 6120.5
	middle = 2000
	idle   = 12
)

// newSources returns sources that are well: four nodes, each with a hot and a
// cold pool, and no volumes.
func newSources() *sources {
	up := tiering.Source{OK: true, Reason: "Available", Message: "It answers."}
	inv := &mayastor.Inventory{
		At: noon, Capability: mayastor.Capability{PoolCordon: true, Removal: true, Source: "test"},
		PoolOnlineSince: map[string]time.Time{}, NodeOnlineSince: map[string]time.Time{},
	}
	for k := 1; k <= 4; k++ {
		node := fmt.Sprintf("n%d", k)
		inv.Nodes = append(inv.Nodes, mayastor.Node{
			ID: node, Spec: &mayastor.NodeSpec{},
			State: &mayastor.NodeState{Status: mayastor.StatusOnline, Version: "v2.10.0"},
		})
		inv.NodeOnlineSince[node] = noon.Add(-time.Hour)
	}
	for _, tier := range []string{"cold", "hot"} {
		for k := 1; k <= 4; k++ {
			id, node := fmt.Sprintf("%s-%d", tier, k), fmt.Sprintf("n%d", k)
			inv.Pools = append(inv.Pools, mayastor.Pool{
				ID: id, Spec: &mayastor.PoolSpec{Node: node, Status: mayastor.StatusCreated, Labels: map[string]string{"tier": tier, "openebs.io/created-by": "operator-diskpool"}},
				State: &mayastor.PoolState{Node: node, Status: mayastor.StatusOnline, Capacity: 1 << 40, Used: 1 << 36},
			})
			inv.PoolOnlineSince[id] = noon.Add(-time.Hour)
		}
	}
	return &sources{
		scores:   tiering.Scores{Source: up, Samples: map[string]tiering.Sample{}},
		mayastor: Mayastor{Source: up, Inventory: inv},
	}
}

// place puts a volume with a replica on each pool into Mayastor, published and
// in sync, or moves it there.
func (s *sources) place(i int, pools ...string) {
	inv := s.mayastor.Inventory
	v := mayastor.Volume{}
	v.Spec = mayastor.VolumeSpec{
		UUID: uuid(i), Size: 10 << 30, NumReplicas: len(pools), Status: mayastor.StatusCreated, Thin: true,
		Target:   &mayastor.TargetSpec{Node: "n1", Protocol: "nvmf"},
		Topology: &mayastor.Topology{Pool: &mayastor.PoolTopology{Labelled: &mayastor.LabelledTopology{Inclusion: map[string]string{"openebs.io/created-by": "operator-diskpool"}}}},
	}
	v.Spec.Policy.SelfHeal = true
	v.State = mayastor.VolumeState{
		Size: 10 << 30, Status: mayastor.StatusOnline, Replicas: map[string]mayastor.ReplicaTopology{},
		Target: &mayastor.Nexus{UUID: "nexus", Node: "n1", State: mayastor.StatusOnline, Protocol: "nvmf"},
	}
	for k, pool := range pools {
		replica := fmt.Sprintf("%s-r%d", uuid(i), k)
		node := "n" + pool[strings.LastIndex(pool, "-")+1:]
		v.State.Replicas[replica] = mayastor.ReplicaTopology{Node: node, Pool: pool, State: mayastor.StatusOnline, ChildStatus: mayastor.StatusOnline}
		uri := "nvmf://" + node + "/x?uuid=" + replica
		if node == "n1" {
			uri = "bdev:///x?uuid=" + replica
		}
		v.State.Target.Children = append(v.State.Target.Children, mayastor.Child{URI: uri, State: mayastor.StatusOnline})
	}
	next := *inv
	next.Volumes = slices.DeleteFunc(slices.Clone(inv.Volumes), func(o mayastor.Packed) bool { return o.UUID() == v.Spec.UUID })
	next.Volumes = append(next.Volumes, mayastor.Pack(v)...)
	slices.SortFunc(next.Volumes, mayastor.Packed.Compare)
	s.mayastor.Inventory = &next
}

// rig is one policy's world: Kubernetes as the request shows it, and the
// sources.
type rig struct {
	*scene
	*sources
	hooks *Hooks
	twin  *twin
	now   time.Time
	last  reply
}

// reply is an answer, read.
type reply struct {
	code   int
	body   []byte
	header http.Header

	Status             tiering.StoragePolicyStatus `json:"status"`
	Children           []batchv1.Job               `json:"children"`
	ResyncAfterSeconds *float64                    `json:"resyncAfterSeconds"`
	Finalized          *bool                       `json:"finalized"`
	// raw is the status with what this release does not know.
	raw json.RawMessage
}

// newRig returns a world of one volume, 1, busy and wholly on cold, so that it
// wants to move to hot.
func newRig(t testing.TB, change ...func(*Config)) *rig {
	t.Helper()
	r := &rig{scene: newScene(), sources: newSources(), now: noon}
	r.volume(1)
	r.place(1, "cold-1", "cold-2")
	r.score(1, busy)
	c := Config{
		Sources: r.sources, Now: func() time.Time { return r.now },
		Namespace: "couchestor-system", Image: "couchestor:test", ClaimLabels: true,
		Limits: tiering.Limits{MaxConcurrentMigrations: 4, RebuildBytesPerSecond: 100 << 20, Settle: 10 * time.Minute},
	}
	for _, f := range change {
		f(&c)
	}
	var err error
	if r.hooks, err = New(c); err != nil {
		t.Fatal(err)
	}
	r.twin = newTwin(t, c)
	return r
}

// post sends a body to a hook.
func (r *rig) post(t testing.TB, hook string, body []byte) reply {
	t.Helper()
	q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, Prefix+"/"+hook, bytes.NewReader(body))
	q.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	r.hooks.Routes().ServeHTTP(w, q)
	if hook == "customize" {
		return reply{code: w.Code, body: w.Body.Bytes(), header: w.Header()}
	}
	if r.hooks.config.Cluster == nil {
		r.twin.agrees(t, r.hooks, hook, body, w)
	}
	return read(t, w)
}

func read(t testing.TB, w *httptest.ResponseRecorder) reply {
	t.Helper()
	a := reply{code: w.Code, body: w.Body.Bytes(), header: w.Header()}
	if a.code == http.StatusOK {
		// As Metacontroller reads it: unknown fields of an answer are errors.
		d := json.NewDecoder(bytes.NewReader(a.body))
		var known struct {
			Status             json.RawMessage   `json:"status"`
			Children           []json.RawMessage `json:"children"`
			ResyncAfterSeconds float64           `json:"resyncAfterSeconds"`
			Finalized          bool              `json:"finalized"`
		}
		d.DisallowUnknownFields()
		if err := d.Decode(&known); err != nil {
			t.Fatalf("the answer does not decode strictly: %v\n%s", err, a.body)
		}
		if known.Children == nil {
			t.Fatalf("children are null: %s", a.body)
		}
		if err := json.Unmarshal(a.body, &a); err != nil {
			t.Fatalf("decode answer: %v\n%s", err, a.body)
		}
		a.raw = known.Status
		if a.ResyncAfterSeconds == nil || *a.ResyncAfterSeconds < 1 || *a.ResyncAfterSeconds > 300 {
			t.Errorf("got resyncAfterSeconds %v, want 1 to 300 in every answer", a.ResyncAfterSeconds)
		}
	}
	return a
}

// sync asks as Metacontroller would, and wants an answer.
func (r *rig) sync(t testing.TB) reply {
	t.Helper()
	hook := "sync"
	if r.finalizing {
		hook = "finalize"
	}
	r.last = r.post(t, hook, r.body())
	if r.last.code != http.StatusOK {
		t.Fatalf("got status %d: %s", r.last.code, r.last.body)
	}
	return r.last
}

// keep takes the status of the last answer over, as Metacontroller writes it.
func (r *rig) keep() { r.status(r.last.raw) }

// names are the names of the answer's children; those that are whole Jobs end
// in +.
func (a reply) names() []string {
	names := []string{}
	for _, j := range a.Children {
		name := j.Name
		if len(j.Spec.Template.Spec.Containers) > 0 {
			name += "+"
		}
		names = append(names, name)
	}
	return names
}

// results are the history as "job: outcome".
func (a reply) results() []string {
	all := []string{}
	for _, e := range a.Status.MigrationHistory {
		all = append(all, e.JobName+": "+e.Outcome)
	}
	return all
}

// condition returns the status and reason of a condition.
func (a reply) condition(kind string) string {
	for _, c := range a.Status.Conditions {
		if c.Type == kind {
			return string(c.Status) + " " + c.Reason
		}
	}
	return ""
}

// held returns the gate and sentence that the plan shows for a volume.
func (a reply) held(i int) string {
	for _, e := range a.Status.Plan {
		if e.VolumeName == "pvc-"+uuid(i) {
			return e.Action + " " + e.Gate + ": " + e.Reason
		}
	}
	return ""
}

// moved is the result of attempt n at volume i.
func moved(n int64) mayastor.Result {
	return mayastor.Result{
		N: n, Move: "m", Policy: "db", From: "cold", To: "hot", State: mayastor.Moved, Replicas: 2,
		FromPools: []string{"cold-1", "cold-2"}, ToPools: []string{"hot-3", "hot-4"},
		Started: noon.Add(-9 * time.Minute), Ended: noon.Add(-time.Minute),
	}
}

// resultOf is a result that is not moved.
func resultOf(n int64, state mayastor.State, reason string) mayastor.Result {
	return mayastor.Result{
		N: n, Move: "m", Policy: "db", From: "cold", To: "hot", State: state, Reason: reason, Error: "a sentence about " + reason,
		Started: noon.Add(-9 * time.Minute), Ended: noon.Add(-time.Minute),
	}
}

// attempt is what the migrator of attempt n writes on its volume.
func attempt(n int64, state mayastor.State, at time.Time) mayastor.Attempt {
	return mayastor.Attempt{N: n, Move: "m", Policy: "db", Generation: 3, From: "cold", To: "hot", State: state, At: at}
}

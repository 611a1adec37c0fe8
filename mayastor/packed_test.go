package mayastor_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/quick"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/budget"
)

func TestAPackedVolumeIsTheVolume(t *testing.T) {
	t.Parallel()
	same := func(v mayastor.Volume) bool {
		p := mayastor.Pack(v)[0]
		if d := cmp.Diff(p.Volume(), v); d != "" {
			t.Error(d)
		}
		if !reflect.DeepEqual(p.Volume(), v) {
			t.Error("one has nil where the other has nothing")
		}
		return p.UUID() == v.Spec.UUID
	}
	if err := quick.Check(same, nil); err != nil {
		t.Error(err)
	}
	var zero mayastor.Packed
	if !reflect.DeepEqual(zero.Volume(), mayastor.Volume{}) || zero.UUID() != "" {
		t.Errorf("got %+v", zero.Volume())
	}
	id := "0123abcd-5a4b-4c3d-8e2f-001122334455"
	for _, uuid := range []string{
		"", "a", id, strings.ToUpper(id), id + id, id + "-", "-" + id, id[:35], id[1:], strings.Repeat("é", 400),
		strings.Repeat(id+"/", 200), strings.ReplaceAll(id, "-", "_"), strings.Replace(id, "a", "g", 1),
	} {
		v := newScene(3, "sata-1", "sata-2").v
		v.Spec.UUID, v.State.Target.UUID, v.State.Target.Children[0].URI = uuid, uuid, "nvmf://x/"+uuid+"?uuid="+uuid
		v.State.Replicas[uuid] = mayastor.ReplicaTopology{Node: uuid, Pool: uuid, RebuildProgress: new(-3)}
		if !same(v) {
			t.Errorf("uuid %q is not found again", uuid)
		}
	}
}

// More different names and topologies than there is room to share.
func TestVolumesThatHaveNothingAlikeArePacked(t *testing.T) {
	t.Parallel()
	var all []mayastor.Volume
	for i := range 70_000 {
		v := mayastor.Volume{Spec: mayastor.VolumeSpec{UUID: fmt.Sprint(i), Target: &mayastor.TargetSpec{Node: fmt.Sprint("node-", i)}}}
		if i%10 == 0 {
			v.Spec.Topology = &mayastor.Topology{Pool: &mayastor.PoolTopology{Labelled: &mayastor.LabelledTopology{Inclusion: map[string]string{"key": fmt.Sprint(i)}}}}
		}
		all = append(all, v)
	}
	all = append(all, all[0], all[len(all)-1])
	packed := mayastor.Pack(all...)
	for i, p := range packed {
		if got := p.Volume(); !reflect.DeepEqual(got, all[i]) {
			t.Fatal(cmp.Diff(got, all[i]))
		}
	}
	if packed[0] != packed[70_000] || packed[69_999] != packed[70_001] {
		t.Error("equal volumes are not equal")
	}
	if n := mayastor.Words(packed[0]); n != mayastor.MaxWords {
		t.Errorf("got %d words, want %d and no more", n, mayastor.MaxWords)
	}
}

func TestPackKeepsNothingOfTheVolume(t *testing.T) {
	t.Parallel()
	s := newScene(3, "sata-1", "sata-2")
	p := mayastor.Pack(s.v)[0]
	s.demand("changed", "later")
	delete(s.v.State.Replicas, "r-sata-1")
	s.v.Spec.Target.Node = "changed"
	if d := cmp.Diff(p.Volume(), newScene(3, "sata-1", "sata-2").v); d != "" {
		t.Error(d)
	}
}

func reading(t testing.TB, e estate, rounds int) (*server, *mayastor.Reader) {
	t.Helper()
	s := newServer(e, rounds)
	reader, err := mayastor.NewReader(mayastor.Config{URL: "http://mayastor.test", HTTP: direct(s)})
	if err != nil {
		t.Fatal(err)
	}
	return s, reader
}

func TestVolumesOfTwoReadingsAreEqualIfNothingChanged(t *testing.T) {
	t.Parallel()
	const n = 1_200
	_, reader := reading(t, estate{volumes: n, written: 10}, 3)
	first := readVolumes(t, reader, nil, n)
	second := readVolumes(t, reader, first, n)
	if !slices.IsSortedFunc(second, func(a, b mayastor.Packed) int { return strings.Compare(a.UUID(), b.UUID()) }) {
		t.Error("they are not in the order of their uuids")
	}
	changed := 0
	for i := range n {
		a, b := first[i], second[i]
		switch equal := reflect.DeepEqual(a.Volume(), b.Volume()); {
		case equal != (a == b):
			t.Errorf("volume %s: the volumes are the same: %v, and packed: %v", a.UUID(), equal, a == b)
		case !equal:
			changed++
		}
	}
	if changed != n/10 {
		t.Errorf("got %d changed, want a tenth of %d", changed, n)
	}
	// Another reader numbers names in another way.
	_, other := reading(t, estate{volumes: n}, 1)
	want := readVolumes(t, other, nil, n)
	for i, p := range readVolumes(t, other, second, n) {
		if p != want[i] {
			t.Fatalf("a volume of another reader was taken over: got %+v, want %+v", p.Volume(), want[i].Volume())
		}
	}
}

// The list of one server is read by several at once, as a [mayastor.Reader]
// promises, while what was read is looked at.
func TestReadingsMayBeMadeAndUsedAtOnce(t *testing.T) {
	t.Parallel()
	const n = 600
	e := estate{volumes: n, written: 3}
	reader := overHTTP(t, &live{estate: e})
	first := readVolumes(t, reader, nil, n)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			before := first
			for range 4 {
				all, err := reader.Volumes(t.Context(), before)
				if err != nil || len(all) != n {
					t.Error(len(all), err)
					return
				}
				for _, p := range all {
					if v := p.Volume(); len(v.State.Replicas) != v.Spec.NumReplicas {
						t.Errorf("got %+v", v)
					}
				}
				before = all
			}
		})
	}
	wg.Wait()
}

// A page that makes no sense is asked for again; what was understood of it must
// not come back.
func TestAnAnswerThatFailedLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	good := `{"spec":{"uuid":"a"},"state":{"status":"Online"}}`
	bad := `{"spec":{"uuid":"a","target":{"node":"n","protocol":"nvmf"},"size":"x"},"state":{"replica_topology":{"r":{}}}}`
	for _, list := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			answers := []string{bad, good}
			c := restClient(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				a := answers[0]
				answers = answers[1:]
				if list {
					a = `{"entries":[` + a + `]}`
				}
				said{200, a}.ServeHTTP(w, r)
			}), nil)
			var got mayastor.Volume
			var err error
			if list {
				var all []mayastor.Packed
				all, err = c.Volumes(t.Context(), nil)
				if len(all) == 1 {
					got = all[0].Volume()
				}
			} else {
				got, err = c.Volume(t.Context(), "a")
			}
			var want mayastor.Volume
			if err := json.Unmarshal([]byte(good), &want); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(got, want); d != "" || err != nil {
				t.Errorf("got %v and\n%s", err, d)
			}
		})
	}
}

// bytesEach bounds what a volume of a reading takes, with two or three replicas,
// so that 100 000 take 24 MiB.
const bytesEach = 250

func TestAVolumeTakesTwoHundredAndFiftyBytes(t *testing.T) {
	const n = 10_000
	_, reader := reading(t, estate{volumes: n}, 1)
	before := budget.Heap()
	all := readVolumes(t, reader, nil, n)
	each := (budget.Heap() - before) / n
	t.Logf("%d bytes a volume", each)
	if each > bytesEach {
		t.Errorf("got %d bytes, want at most %d", each, bytesEach)
	}
	runtime.KeepAlive(reader)
	runtime.KeepAlive(all)
}

// At the last page of a reading the one before is still there.
func TestARefreshHoldsLittleBeyondWhatChanged(t *testing.T) {
	const n = 10_000
	for _, c := range []struct {
		name    string
		written int
		most    int64 // bytes a volume
	}{{"at rest", 0, 50}, {"a tenth written", 10, 75}, {"all written", 1, bytesEach + 50}} {
		t.Run(c.name, func(t *testing.T) {
			s, reader := reading(t, estate{volumes: n, written: c.written}, 2)
			all := readVolumes(t, reader, nil, n)
			held, page := budget.Heap(), 0
			var peak int64
			s.scrape = func() {
				if page++; page == n/500 {
					peak = budget.Heap() - held
				}
			}
			next := readVolumes(t, reader, all, n)
			// A page is there whatever n is.
			each := (peak - int64(s.bytes()/page)) / n
			t.Logf("%d bytes a volume", each)
			if page != n/500 || each > c.most {
				t.Errorf("got %d pages, and at the last one %d bytes a volume beyond those of the reading before, want at most %d", page, each, c.most)
			}
			runtime.KeepAlive(reader)
			runtime.KeepAlive(all)
			runtime.KeepAlive(next)
		})
	}
}

// A volume is found by its uuid, also where that is not a uuid as Mayastor writes
// them, and nothing else is.
func TestAVolumeIsFoundByItsUUID(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(
			rapid.StringMatching(`[0-3a]{8}-0000-4000-8000-00000000000[0-9a-f]`),
			rapid.StringMatching(`[0-3A]{8}-0000-4000-8000-000000000000`),
			rapid.StringMatching(`[0-9a-f]{0,3}`),
		)
		var i mayastor.Inventory
		for _, uuid := range rapid.SliceOfDistinct(id, rapid.ID).Draw(t, "volumes") {
			i.Volumes = append(i.Volumes, mayastor.Pack(mayastor.Volume{Spec: mayastor.VolumeSpec{UUID: uuid}})...)
		}
		slices.SortFunc(i.Volumes, mayastor.Packed.Compare)
		for k, v := range i.Volumes {
			if place, ok := i.Find(v.UUID()); !ok || place != k {
				t.Errorf("%q is found at %d (%t), want %d", v.UUID(), place, ok, k)
			}
		}
		other := id.Draw(t, "other")
		place, ok := i.Find(other)
		if listed := slices.ContainsFunc(i.Volumes, func(v mayastor.Packed) bool { return v.UUID() == other }); ok != listed || ok && i.Volumes[place].UUID() != other {
			t.Errorf("%q is found at %d: %t, want %t", other, place, ok, listed)
		}
	})
}

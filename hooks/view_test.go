package hooks

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/billyronks/couchestor/test/budget"
)

func TestViewsFollowChangesInAnyOrderAndAreNeverChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Mirror
		model := map[string]*claim{}
		type seen struct {
			view *View
			was  []claim
		}
		var views []seen
		drawn := 0
		draw := func() *claim {
			drawn++
			return &claim{
				Namespace: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "namespace"), Name: fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "name")),
				UID: fmt.Sprint(drawn), Labels: map[string]string{"app": "x"},
			}
		}
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				var all []Object
				clear(model)
				for range rapid.IntRange(0, 12).Draw(t, "objects") {
					o := draw()
					model[o.Namespace+"/"+o.Name] = o
				}
				for _, o := range model {
					all = append(all, o)
				}
				m.Replace(Claims, all)
			case 1, 2:
				o := draw()
				m.Put(o)
				model[o.Namespace+"/"+o.Name] = o
			case 3:
				o := draw()
				m.Remove(o)
				delete(model, o.Namespace+"/"+o.Name)
			case 4:
				o := draw()
				o.Labels = nil // no part in any decision
				m.Put(o)
				delete(model, o.Namespace+"/"+o.Name)
			case 5:
				v := m.View()
				s := seen{view: v}
				for _, o := range v.Claims {
					s.was = append(s.was, *o)
				}
				views = append(views, s)
				if v != m.View() {
					t.Error("two views, and nothing changed in between")
				}
			}
			var want []*claim
			for _, k := range slices.Sorted(maps.Keys(model)) {
				want = append(want, model[k])
			}
			if got := m.View().Claims; !cmp.Equal(got, want, cmp.Comparer(func(a, b *claim) bool { return a == b })) && len(got)+len(want) > 0 {
				t.Fatalf("got %v, want %v", text(got), text(want))
			}
		}
		for _, s := range views {
			var is []claim
			for _, o := range s.view.Claims {
				is = append(is, *o)
			}
			if diff := cmp.Diff(s.was, is); diff != "" {
				t.Errorf("a view that was handed out has changed: -was +is\n%s", diff)
			}
		}
	})
}

func TestMirrorMayBeUsedAtOnce(t *testing.T) {
	var m Mirror
	var wg sync.WaitGroup
	for k := range 4 {
		wg.Go(func() {
			for i := range 200 {
				o := &claim{Namespace: "a", Name: fmt.Sprint(k, i%20), Labels: map[string]string{"app": "x"}}
				m.Put(o)
				if i%3 == 0 {
					m.Remove(o)
				}
				if v := m.View(); !slices.IsSortedFunc(v.Claims, byKey) {
					t.Error("a view out of order")
				}
			}
		})
	}
	wg.Wait()
}

func TestMirrorHoldsNoBacklogWhileNobodyLooks(t *testing.T) {
	var m Mirror
	for i := range 3 * maxPending {
		m.Put(&claim{Namespace: "a", Name: fmt.Sprint(i), Labels: map[string]string{"app": "x"}})
		if n := len(m.claims.pending); n >= maxPending {
			t.Fatalf("%d changes are pending", n)
		}
	}
	if n := len(m.View().Claims); n != 3*maxPending {
		t.Errorf("got %d claims, want %d", n, 3*maxPending)
	}
}

// bytesEach bounds what a volume with its claim takes in a view, so that 100 000
// take 38 MiB.
const bytesEach = 400

func TestVolumeAndItsClaimTakeFourHundredBytes(t *testing.T) {
	const n = 10_000
	k := newKube()
	before := budget.Heap()
	k.stream(t, Volumes, n, func(_ int, s *scene) map[string]object { return s.volumes })
	k.stream(t, Claims, n, func(_ int, s *scene) map[string]object { return s.claims })
	view := k.mirror.View()
	each := (budget.Heap() - before) / n
	t.Logf("%d bytes a volume", each)
	if each > bytesEach {
		t.Errorf("got %d bytes, want at most %d", each, bytesEach)
	}
	if len(view.Volumes) != n || len(view.Claims) != n {
		t.Errorf("got %d volumes, %d claims", len(view.Volumes), len(view.Claims))
	}
	runtime.KeepAlive(k)
}

func TestVolumesOfOtherDriversAreDropped(t *testing.T) {
	s := newScene()
	s.volume(1)
	s.volumes["nfs"] = object{"metadata": object{"name": "nfs"}, "spec": object{"nfs": object{"server": "x"}}}
	k := newKube()
	k.show(t, Volumes, raw(s.volumes))
	s.volumes["nfs2"] = object{"metadata": object{"name": "nfs2"}, "spec": object{"nfs": object{"server": "x"}}}
	k.show(t, Volumes, raw(s.volumes))
	if got := k.mirror.View().Volumes; len(got) != 1 || !strings.HasPrefix(got[0].Name, "pvc-") {
		t.Errorf("got %s, want the one of Mayastor", text(got))
	}
}

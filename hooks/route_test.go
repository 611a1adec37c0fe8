package hooks

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

func TestRouteIsSearchedOnceForEachReadingAndQuestion(t *testing.T) {
	s := newSources()
	s.place(1, "cold-1", "cold-2")
	s.place(2, "cold-1", "cold-2")
	f := newFacts(s.mayastor.Inventory)
	hot := []string{"hot-1", "hot-2", "hot-3", "hot-4"}
	ask := func(f *facts, volume int, pools []string, rules tiering.Rules) tiering.Route {
		return f.route(&rules)(&tiering.Volume{UUID: uuid(volume)}, tiering.Hot, pools)
	}
	first := ask(f, 1, hot, tiering.Rules{})
	ask(f, 1, hot, tiering.Rules{})
	ask(f, 1, hot, tiering.Rules{Priority: 7}) // another policy that asks the same
	ask(f, 9, hot, tiering.Rules{})            // a volume that is not there
	if n := len(f.routes.known); n != 1 {
		t.Errorf("got %d searches, want 1", n)
	}
	if diff := cmp.Diff(first, ask(f, 1, hot, tiering.Rules{})); diff != "" || len(first.Landing) == 0 {
		t.Errorf("the answer has changed, or is none: %s", diff)
	}
	// Each of these is another question, and has an answer of its own.
	for i, asked := range []func() tiering.Route{
		func() tiering.Route { return ask(f, 2, hot, tiering.Rules{}) },
		func() tiering.Route { return ask(f, 1, hot[:2], tiering.Rules{}) },
		func() tiering.Route { return ask(f, 1, hot, tiering.Rules{MaxPoolUsedPercent: 1}) },
		func() tiering.Route { return ask(f, 1, hot, tiering.Rules{AllowReducedRedundancy: true}) },
		func() tiering.Route {
			return ask(f, 1, hot, tiering.Rules{VolumesWithSnapshots: tiering.MoveSnapshots})
		},
	} {
		asked()
		if n := len(f.routes.known); n != 2+i {
			t.Errorf("question %d: got %d searches, want one more", i, n)
		}
	}
	if r := ask(f, 1, hot[:1], tiering.Rules{}); len(r.Landing) != 0 {
		t.Errorf("got landing %v with one target pool for two replicas", r.Landing)
	}
}

func TestQuestionsFromOnePolicyWithPoolsInTurnsAreKeptApart(t *testing.T) {
	s := newSources()
	s.place(1, "cold-1", "cold-2")
	f := newFacts(s.mayastor.Inventory)
	route := f.route(&tiering.Rules{})
	v := &tiering.Volume{UUID: uuid(1)}
	for range 2 {
		for _, pools := range [][]string{{"hot-3", "hot-4"}, {"hot-1", "hot-2"}} {
			alone := newFacts(s.mayastor.Inventory).route(&tiering.Rules{})(v, tiering.Hot, pools)
			if diff := cmp.Diff(alone, route(v, tiering.Hot, pools)); diff != "" {
				t.Errorf("-asked alone +asked in turns\n%s", diff)
			}
		}
	}
}

func TestRoutesAreBounded(t *testing.T) {
	var r routes
	for i := range maxRoutes + 10 {
		if got := r.of(question{i, "x"}, func() tiering.Route { return tiering.Route{Replicas: i} }); got.Replicas != i {
			t.Fatalf("got %d, want %d", got.Replicas, i)
		}
	}
	if n := len(r.known); n != maxRoutes {
		t.Errorf("got %d routes held, want %d", n, maxRoutes)
	}
}

func TestTextOfAQuestionHasAllOfIt(t *testing.T) {
	// A pointer or function in an ask would be told by its address.
	if got, want := fmt.Sprintf("%+v", mayastor.Ask{Targets: []string{"a", "b"}, MoveSnapshots: true, MaxUsedPercent: 7}), "{Targets:[a b] MoveSnapshots:true AllowReduced:false MaxUsedPercent:7}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

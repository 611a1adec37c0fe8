package world

import (
	"context"
	"strings"
	"testing"

	"github.com/billyronks/couchestor/server/cluster"
	"github.com/billyronks/couchestor/server/world"
	"github.com/billyronks/couchestor/test/cluster/rig"
)

const crowd = 200

// populate creates the crowd.
func (s *scene) populate() {
	s.t.Helper()
	for i := 1; i <= crowd; i++ {
		s.volume(i)
		if i%3 == 0 {
			s.job(i, 1)
		}
	}
	for i := range 10 {
		s.policy(i)
	}
}

// churn changes things at random.
func (s *scene) churn(times int) {
	s.t.Helper()
	for range times {
		s.change(1 + s.dice.IntN(crowd))
	}
}

// lists is how often the volumes were listed.
func (s *scene) lists() int {
	_, lists := s.reader.Counts()
	return lists["persistentvolumes"]
}

func TestViewIsWhatAFreshListShows(t *testing.T) {
	t.Parallel()
	r := rig.New(t)
	if err := applyCRD(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	s := newScene(t, r, quick)
	suite.Scenario(t, "200 volumes come, change and go: the view is what a fresh list shows; through cuts, a silent network and the death of the API server")

	s.agrees() // nothing yet
	s.populate()
	view := s.agrees()
	if n := len(view.Volumes); n != crowd-crowd/7 {
		t.Errorf("got %d volumes, want those of Mayastor's driver, %d", n, crowd-crowd/7)
	}
	if n := len(view.Claims); n != crowd {
		t.Errorf("got %d claims, want %d", n, crowd)
	}
	s.churn(300)
	s.agrees()
	if n := s.lists(); n != 1 {
		t.Errorf("got %d lists, want that all after the first came by the watch", n)
	}

	// Connections break, also in the middle of events.
	for range 10 {
		s.churn(20)
		s.wire.cut(false)
		s.churn(20)
	}
	s.agrees()
	t.Logf("after ten cuts: %d lists", s.lists())

	// Nothing breaks, and nothing comes.
	s.wire.freeze()
	s.churn(50)
	s.until("the view is no longer trusted", func() bool {
		view, source := s.reader.View()
		if view == nil {
			t.Fatal("the view is gone")
		}
		return !source.OK
	})
	s.wire.thaw()
	s.agrees()

	// The API server dies and comes back while things change.
	for range 3 {
		s.churn(30)
		r.API.Kill()
		if view, _ := s.reader.View(); view == nil {
			t.Error("the view is gone with the API server")
		}
		if err := r.StartAPI(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.churn(30)
		s.agrees()
	}
	t.Logf("after three deaths: %d lists", s.lists())
}

func TestForgottenHistoryIsListedAnew(t *testing.T) {
	t.Parallel()
	r := rig.New(t)
	if err := applyCRD(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	s := newScene(t, r, quick)
	suite.Scenario(t, "a reader is cut off while things go, and the server forgets: it lists anew, and what is gone is gone")
	s.populate()
	s.agrees()
	before := s.lists()
	s.wire.cut(true)
	for i := 1; i <= 50; i++ {
		s.patchVolume(i, `{"metadata":{"finalizers":null}}`)
	}
	s.churn(300)
	// A new server has in memory what was stored when it started, and no history.
	r.API.Kill()
	if err := r.StartAPI(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.until("the view is too old", func() bool { _, source := s.reader.View(); return !source.OK })
	_, source := s.reader.View()
	if source.Reason != world.Unreachable || !strings.Contains(source.Message, errDown.Error()) {
		t.Errorf("got %+v, want that the network is down", source)
	}
	s.wire.up()
	s.agrees()
	if s.lists() == before {
		t.Errorf("got no list, want that the server had forgotten")
	}
}

func TestQuietKindsStayKnown(t *testing.T) {
	t.Parallel()
	// Whatever bookmarks come or not.
	limits := cluster.Limits{Fresh: 3 * quick.Settle * 5, Silence: 5 * quick.Settle, Settle: quick.Settle, Discover: 5 * quick.Settle}
	s := newScene(t, suite.Rig, limits)
	suite.Scenario(t, "nothing happens for ten times as long as a view stays fresh, and the view stays trusted")
	s.until("the first view", func() bool { _, source := s.reader.View(); return source.OK })
	ctx, cancel := context.WithTimeout(t.Context(), 10*limits.Fresh)
	defer cancel()
	for ctx.Err() == nil {
		if _, source := s.reader.View(); !source.OK {
			t.Fatalf("got %+v", source)
		}
		await(ctx, quick.Settle)
	}
	if n := s.lists(); n != 1 {
		t.Errorf("got %d lists, want the first alone", n)
	}
}

func TestMissingRightIsNamedAndMendedByItself(t *testing.T) {
	t.Parallel()
	s := newScene(t, suite.Rig, quick)
	suite.Scenario(t, "a right is missing: no view, a sentence that names it, and all is well once it is granted")
	cfg, err := s.ServiceAccount(t.Context(), s.space, "other")
	if err != nil {
		t.Fatal(err)
	}
	account := rig.Account(s.space, "other")
	if err := s.Grant(t.Context(), account, "", rights()[1:]...); err != nil {
		t.Fatal(err)
	}
	s.reader = s.follow(cfg, quick)
	s.until("the fault is known", func() bool {
		view, source := s.reader.View()
		if view != nil {
			t.Fatal("there is a view without volumes")
		}
		return source.Reason == world.Unauthorized
	})
	_, source := s.reader.View()
	if want := "does not let this service"; !strings.Contains(source.Message, want) || !strings.Contains(source.Message, "persistentvolumes") {
		t.Errorf("got %q, want that it names what may not be read", source.Message)
	}
	if s.reader.State().Tried {
		t.Error("the service would be ready without volumes")
	}
	if err := s.Grant(t.Context(), account, "", rights()...); err != nil {
		t.Fatal(err)
	}
	s.until("the view is there", func() bool { _, source := s.reader.View(); return source.OK })
}

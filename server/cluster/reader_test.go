package cluster

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/server/world"
	"github.com/billyronks/couchestor/tiering"
)

// rig is a reader of an API server in a bubble.
type rig struct {
	*Reader
	t   *testing.T
	api *apiServer
}

func start(t *testing.T, api *apiServer) *rig {
	t.Helper()
	reader, err := New(Config{
		REST: &rest.Config{Host: "http://kubernetes.test", Transport: api}, Claims: true, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		reader.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	r := &rig{reader, t, api}
	r.pass(time.Minute)
	return r
}

// pass lets time pass.
func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) wantVolumes(n int) {
	r.t.Helper()
	view, source := r.View()
	if view == nil || !source.OK || len(view.Volumes) != n {
		r.t.Fatalf("got view %v, source %+v, want %d volumes", view, source, n)
	}
}

func (r *rig) source() tiering.Source {
	_, source := r.View()
	return source
}

func (r *rig) lists() int { return r.kinds[0].state().lists }

func populated(n int) *apiServer {
	api := newAPIServer()
	for i := range n {
		api.put(i)
	}
	return api
}

func TestViewFollowsListsAndWatches(t *testing.T) {
	for name, change := range map[string]func(*apiServer){
		"a server that lists by a watch": func(*apiServer) {},
		"an older one":                   func(s *apiServer) { s.old = true },
		"an older one that sends pages":  func(s *apiServer) { s.old = true; s.pageSize = 2 },
		"a page that comes too late":     func(s *apiServer) { s.old = true; s.pageSize = 2; s.expire = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := populated(5)
				change(api)
				r := start(t, api)
				r.wantVolumes(5)
				api.put(6)
				synctest.Wait()
				r.wantVolumes(6)
				if n := r.lists(); n != 1 {
					t.Errorf("got %d lists, want 1", n)
				}
				if s := r.State(); !s.Tried || !s.Up || s.Reason != "" {
					t.Errorf("got %+v, want that it is up", s)
				}
			})
		})
	}
}

func TestWatchThatBreaksGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, populated(5))
		for i := range 20 {
			r.api.cut()
			r.api.put(10 + i)
			r.pass(10 * time.Second)
		}
		r.wantVolumes(25)
		if n := r.lists(); n != 1 {
			t.Errorf("got %d lists, want that nothing was listed anew", n)
		}
	})
}

func TestHistoryThatIsForgottenIsListedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, populated(5))
		r.api.set(func() { clear(r.api.objects[volumesPath]) }) // nobody is told
		r.api.put(9)
		r.api.forget()
		r.pass(time.Minute)
		r.wantVolumes(1)
		if n := r.lists(); n != 2 {
			t.Errorf("got %d lists, want 2", n)
		}
		if s := r.State(); !s.Up {
			t.Errorf("got %+v, want no fault: to forget is a server's right", s)
		}
	})
}

func TestQuietServerIsTrustedForEverAndASilentOneIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, populated(5))
		for range 24 * 60 {
			r.pass(time.Minute) // no event, no bookmark
			r.wantVolumes(5)
		}
		if n := r.lists(); n != 1 {
			t.Errorf("a quiet day: got %d lists, want 1", n)
		}
		asked := r.api.requests()
		if n := len(slices.DeleteFunc(asked, func(s string) bool { return s != "WATCH "+volumesPath })); n > 24*60 {
			t.Errorf("a quiet day: got %d watches of volumes, want about one each 75 seconds", n)
		}

		// What was open stays open, and nothing comes or is answered any more.
		r.api.set(func() { r.api.hanging[""] = true })
		r.api.put(6)
		r.pass(100 * time.Second)
		r.wantVolumes(5) // not known to be old yet
		r.pass(100 * time.Second)
		view, source := r.View()
		if source.OK || source.Reason != world.TooOld || len(view.Volumes) != 5 {
			t.Errorf("got %+v and %d volumes, want that it is too old, and still there", source, len(view.Volumes))
		}
		if s := r.State(); s.Up || !s.Tried || s.Reason != world.TimedOut || time.Since(s.Read) < 3*time.Minute {
			t.Errorf("got %+v, want that it is down since then", s)
		}
		if !strings.Contains(source.Message, "so nothing new starts") {
			t.Errorf("got %q", source.Message)
		}
	})
}

func TestSilenceOfOneKindIsEnoughToDistrustTheView(t *testing.T) {
	for _, path := range []string{volumesPath, claimsPath, jobsPath, policiesPath} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := start(t, populated(1))
				r.api.set(func() { r.api.hanging[path] = true })
				r.pass(5 * time.Minute)
				if r.source().OK {
					t.Error("the view is trusted")
				}
			})
		})
	}
}

func TestBookmarksAreProofEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, populated(5))
		r.api.requests()
		for range 60 {
			r.pass(time.Minute)
			r.api.bookmark()
			synctest.Wait()
			r.wantVolumes(5)
		}
		watches := 0
		for _, asked := range r.api.requests() {
			if asked == "WATCH "+volumesPath {
				watches++
			}
		}
		if watches > 12 {
			t.Errorf("got %d watches in an hour of bookmarks, want that none is begun anew for silence", watches)
		}
	})
}

func TestFaultsAreSentencesThatSayWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*apiServer)
		reason string
		says   []string
	}{
		"a missing right": {
			func(s *apiServer) { s.forbidden[jobsPath] = true },
			world.Unauthorized,
			[]string{"does not let this service list jobs", "let its service account list and watch them"},
		},
		"a missing right to watch DiskPools": {
			func(s *apiServer) { s.served = "v1beta2"; s.forbidden["/apis/openebs.io/v1beta2/diskpools"] = true },
			world.Unauthorized,
			[]string{"diskpools"},
		},
		"an object that cannot be read": {
			func(s *apiServer) { s.store(policiesPath, "x", `{"metadata":{"name":7,"resourceVersion":"3"}}`) },
			world.BadAnswer,
			[]string{"storagepolicies cannot be read", "should be a string"},
		},
		"nothing that answers": {
			func(s *apiServer) { s.hanging[claimsPath] = true },
			world.NotReadYet,
			[]string{"The lists of persistentvolumeclaims have not come yet"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := populated(1)
				c.change(api)
				r := start(t, api)
				view, source := r.View()
				if view != nil || source.OK || source.Reason != c.reason {
					t.Errorf("got view %v, source %+v, want none and %s", view, source, c.reason)
				}
				for _, says := range c.says {
					if !strings.Contains(source.Message, says) || !strings.Contains(r.Waiting(), says) {
						t.Errorf("got %q and %q, want it to say %q", source.Message, r.Waiting(), says)
					}
				}
				if r.State().Tried {
					t.Error("the service would be ready")
				}
			})
		})
	}
}

func TestFaultAfterTheFirstViewLeavesTheView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, populated(5))
		r.api.set(func() { r.api.forbidden[volumesPath] = true })
		r.api.cut()
		r.pass(time.Minute)
		r.wantVolumes(5)
		if s := r.State(); s.Up || s.Reason != world.Unauthorized {
			t.Errorf("got %+v, want the fault shown at once", s)
		}
		r.pass(3 * time.Minute)
		if source := r.source(); source.OK || source.Reason != world.Unauthorized {
			t.Errorf("got %+v, want that it is too old because of the right", source)
		}
		r.api.set(func() { r.api.forbidden[volumesPath] = false })
		r.api.put(6)
		r.pass(time.Minute)
		r.wantVolumes(6)
	})
}

func TestDiskPoolsAreFollowedInTheVersionThatIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := func(version, name string) func(*apiServer) {
			return func(s *apiServer) {
				s.served = version
				s.store("/apis/openebs.io/"+version+"/diskpools", name, `{"metadata":{"namespace":"mayastor","name":"`+name+`","resourceVersion":"5","labels":{"tier":"hot"}}}`)
			}
		}
		r := start(t, populated(1))
		want := func(names ...string) {
			t.Helper()
			r.wantVolumes(1)
			view, _ := r.View()
			var got []string
			for _, p := range view.DiskPools {
				got = append(got, p.Name)
			}
			if !slices.Equal(got, names) {
				t.Errorf("got DiskPools %v, want %v", got, names)
			}
		}
		want()
		for _, step := range []struct {
			change func(*apiServer)
			want   []string
		}{
			{pool("v1beta2", "a"), []string{"a"}},
			{pool("v1beta3", "b"), []string{"b"}},
			{func(s *apiServer) { s.forbidden["/apis/openebs.io"] = true }, []string{"b"}}, // what was found stays
			{func(s *apiServer) { s.forbidden["/apis/openebs.io"] = false; s.served = "" }, nil},
			{pool("v1beta3", "c"), []string{"b", "c"}},
		} {
			r.api.set(func() { step.change(r.api) })
			r.pass(90 * time.Second)
			want(step.want...)
		}
	})
}

func TestCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, populated(5))
		objects, lists := r.Counts()
		for _, k := range hooks.Kinds() {
			if _, ok := objects[k.String()]; !ok || lists[k.String()] < 1 {
				t.Errorf("%s: got %d objects, %d lists, want it listed", k, objects[k.String()], lists[k.String()])
			}
		}
		r.pass(time.Hour)
		if _, again := r.Counts(); !maps.Equal(lists, again) {
			t.Errorf("got lists %v, and after a quiet hour %v", lists, again)
		}
		if n := objects["persistentvolumes"]; n != 5 {
			t.Errorf("got %d volumes, want 5", n)
		}
	})
}

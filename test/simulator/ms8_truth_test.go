package simulator

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMS8_4ViolationsAreTheCallersDoingOnly(t *testing.T) {
	tests := []struct {
		name string
		play func(w *world) string
		want string // in the one violation; empty: none
	}{
		{"removing one of two synced copies", func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2")
			w.scale(v, 1)
			return v
		}, "left 1 fully synced copies where 2 must stay"},
		{"with leave to do so", func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2")
			w.AllowReduced(v, 1)
			w.scale(v, 1)
			return v
		}, ""},
		{"removing one of three when two must stay", func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2")
			w.scale(v, 3)
			settle()
			w.scale(v, 2)
			return v
		}, ""},
		{"the same by a user is no violation", func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2")
			w.act(w.UserScale(v, 1))
			return v
		}, ""},
		{"hardware that fails is no violation", func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2")
			w.act(w.NodeDown("node-2"))
			return v
		}, ""},
		{"and lowers what the caller must keep", func(w *world) string {
			// The node takes one of three copies; the caller's -1 takes the dead one.
			v := w.Published(gib, "sata-1", "sata-2", "sata-3")
			w.act(w.PoolDown("sata-2"))
			return v
		}, ""},
		{"what self-heal repaired must be kept again", func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2")
			w.act(w.PoolDown("sata-2"))
			w.act(w.PoolUp("sata-2"))
			settle()
			w.scale(v, 1)
			return v
		}, "left 1 fully synced copies where 2 must stay"},
		{"an undo while rebuilding loses nothing", func(w *world) string {
			v := w.Published(100*gib, "sata-1", "sata-2")
			w.scale(v, 3)
			w.scale(v, 2)
			return v
		}, ""},
		{"a mark after a loss measures from there", func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2", "sata-3")
			w.act(w.UserScale(v, 2))
			w.Mark(v)
			w.scale(v, 3)
			settle()
			w.scale(v, 2)
			return v
		}, ""},
		{"what the reconciler trims after the caller lowered the number is the caller's loss", func(w *world) string {
			v := w.AddVolume(Volume{Pools: []string{"sata-1", "sata-2"}})
			w.act(w.NodeDown("node-2"))
			time.Sleep(20 * time.Second)
			w.scale(v, 1) // removes nothing: only one is online
			w.act(w.NodeUp("node-2"))
			settle()
			return v
		}, "self-heal removed a surplus replica"},
		// Seen with COUCHESTOR_MODEL_SEED=5266.
		{"but not while others hold a copy back that was there when the number was lowered", func(w *world) string {
			v := w.Published(gib, "sata-1", "sata-2")
			w.scale(v, 3)
			settle()
			w.act(w.DegradePool("sata-2", true))
			w.scale(v, 2) // removes nothing: only two of three are Online
			w.act(w.NodeDown("node-2"))
			time.Sleep(5 * time.Minute)
			w.act(w.Unpublish(v))
			settle()
			if got := w.Synced(v); got != 1 {
				w.t.Errorf("%d copies in sync, want that self-heal took one of two", got)
			}
			return v
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, Config{NoHealth: true}, 4, func(w *world) {
				tt.play(w)
				got := w.Violations()
				if (len(got) == 1) != (tt.want != "") || tt.want != "" && !strings.Contains(got[0], tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		})
	}
}

func TestMS8_4LowestSyncedIsMeasuredSinceTheMark(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.Published(gib, "sata-1", "sata-2")
		w.act(w.PoolDown("sata-2"))
		w.act(w.PoolUp("sata-2"))
		if got := w.LowestSynced(v); got != 1 {
			t.Errorf("got %d, want the blip seen", got)
		}
		settle()
		w.Mark(v)
		if got := w.LowestSynced(v); got != 2 {
			t.Errorf("got %d after the mark, want 2", got)
		}
	})
}

func TestMS8_1AReplicaThatIsNoHealthyChildFallsBehindAtOnce(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.Published(gib, "sata-1", "sata-2")
		w.act(w.PoolDown("sata-2"))
		w.act(w.PoolUp("sata-2"))
		for _, r := range w.Truth(v) {
			if want := r.Pool == "sata-1"; r.Synced != want {
				t.Errorf("%s: got synced %v, want %v: writes went on without it", r.Pool, r.Synced, want)
			}
		}
	})
}

func TestOnChangeSeesEveryChangeWhileItIsConsistent(t *testing.T) {
	play(t, Config{RebuildRate: 100 * mib}, 3, func(w *world) {
		v := w.Published(gib, "sata-1", "sata-2")
		var causes []string
		lowest, cordoned := 9, 0
		w.OnChange(func(view View) {
			causes = append(causes, strings.TrimPrefix(view.Cause(), "volume "+v+": "))
			lowest = min(lowest, view.Synced(v))
			cordoned = max(cordoned, len(view.Cordons().Pools))
			if got := len(view.Truth(v)); got < 2 || got > 3 || view.Replicas(v) > got || !slices.Contains(view.Volumes(), v) {
				t.Errorf("%s: %d replicas, num_replicas %d", view.Cause(), got, view.Replicas(v))
			}
		})
		w.want("PUT", "/v0/pools/sata-3/cordon", flags(PoolCordon{Replicas: true}), 200, "")
		w.scale(v, 3)
		w.want("DELETE", "/v0/pools/sata-3/cordon", flags(PoolCordon{Replicas: true}), 200, "")
		settle()
		w.scale(v, 2)
		settle()
		want := []string{"pool sata-3: PUT cordon", "scaled to 3", "pool sata-3: DELETE cordon", "rebuild of ", "scaled to 2"}
		if len(causes) != len(want) {
			t.Fatalf("got causes %q, want %q", causes, want)
		}
		for i := range want {
			if !strings.HasPrefix(causes[i], want[i]) {
				t.Errorf("cause %d: got %q, want %q...", i, causes[i], want[i])
			}
		}
		if lowest != 2 || cordoned != 1 || len(w.Truth(v)) != 2 {
			t.Errorf("got lowest %d, cordoned %d, %d replicas; want 2, 1, 2", lowest, cordoned, len(w.Truth(v)))
		}
	})
}

func TestCallsAreRecorded(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.Published(gib, "sata-1")
		time.Sleep(time.Minute)
		w.send("GET", "/v0/volumes?max_entries=0", "")
		w.send("PUT", count(v, 5), "")
		w.send("PUT", "/v0/pools/sata-2/cordon", `{"replicas":true}`)
		got := w.Calls()
		at := w.started.Add(time.Minute)
		want := []Call{
			{Method: "GET", Path: "/v0/volumes", Query: "max_entries=0", Status: 200, At: at},
			{Method: "PUT", Path: count(v, 5), Status: 412, Kind: "FailedPrecondition", At: at, Volume: v},
			{Method: "PUT", Path: "/v0/pools/sata-2/cordon", Body: `{"replicas":true}`, Status: 200, At: at},
		}
		if d := cmp.Diff(got, want); d != "" {
			t.Errorf("(-got +want):\n%s", d)
		}
	})
}

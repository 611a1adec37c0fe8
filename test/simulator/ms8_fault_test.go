package simulator

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestMS8_5Faults(t *testing.T) {
	const scalePath = "/v0/volumes/*/replica_count/*"
	tests := []struct {
		name   string
		fault  Fault
		status int // of the PUT; 0: no answer
		kind   string
		done   bool // whether it took effect
	}{
		{"an error before the effect", Fault{Effect: FailBefore, Kind: "Aborted"}, 503, "Aborted", false},
		{"an error before the effect, with a status of its own", Fault{Effect: FailBefore, Kind: "Novel", Status: 418}, 418, "Novel", false},
		{"an error without a kind is Internal", Fault{Effect: FailBefore}, 500, "Internal", false},
		{"a lost reply", Fault{Effect: LoseReply, Kind: "DeadlineExceeded"}, 504, "DeadlineExceeded", true},
		{"a connection dropped before", Fault{Effect: DropBefore}, 0, "", false},
		{"a connection dropped after", Fault{Effect: DropAfter}, 0, "", true},
		{"no answer ever, nothing done", Fault{Effect: HangBefore}, 0, "", false},
		{"no answer ever, but done", Fault{Effect: HangAfter}, 0, "", true},
		{"an empty 404", Fault{Effect: EmptyNotFound}, 404, "", false},
		{"a delay", Fault{Delay: 2 * time.Second}, 200, "", true},
		{"a delay beyond the client's patience", Fault{Delay: time.Minute}, 0, "", false},
		{"a lost reply after a delay", Fault{Effect: LoseReply, Kind: "Timeout", Delay: time.Second}, 408, "Timeout", true},
		{"another method does not match", Fault{Method: "DELETE", Effect: DropBefore}, 200, "", true},
		{"another path does not match", Fault{Path: "/v0/pools/*", Effect: DropBefore}, 200, "", true},
		{"a rest matches", Fault{Path: "/v0/volumes/**", Effect: EmptyNotFound}, 404, "", false},
		{"a predicate narrows", Fault{When: func(r Request) bool { return strings.HasSuffix(r.Path, "/9") }, Effect: DropBefore}, 200, "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, Config{}, 3, func(w *world) {
				v := w.Published(gib, "sata-1")
				f := tt.fault
				if f.Path == "" {
					f.Path = scalePath
				}
				w.Inject(f)
				ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
				defer cancel()
				req, err := http.NewRequestWithContext(ctx, http.MethodPut, BaseURL+count(v, 2), nil)
				if err != nil {
					t.Fatal(err)
				}
				status := 0
				if resp, err := w.http.Do(req); err == nil {
					status = resp.StatusCode
					_ = resp.Body.Close()
				}
				if status != tt.status {
					t.Errorf("got status %d, want %d", status, tt.status)
				}
				if got := w.Replicas(v) == 2; got != tt.done {
					t.Errorf("took effect: %v, want %v", got, tt.done)
				}
				call := w.Calls()[0]
				if call.Status != tt.status || call.Kind != tt.kind {
					t.Errorf("recorded %d %q, want %d %q", call.Status, call.Kind, tt.status, tt.kind)
				}
				// The fault struck once; the next call is answered.
				if status, _ := w.send("GET", "/v0/volumes/"+v, ""); status != 200 {
					t.Errorf("the next call: got %d", status)
				}
			})
		})
	}
}

func TestMS8_5AFaultStrikesTheNthMatchAndSoManyAfterIt(t *testing.T) {
	for _, tt := range []struct {
		nth, times int
		want       string // one letter per call: f failed, . fine
	}{
		{0, 0, "f....."}, {3, 0, "..f..."}, {2, 3, ".fff.."}, {0, -1, "ffffff"}, {5, -1, "....ff"},
	} {
		play(t, Config{}, 1, func(w *world) {
			w.Inject(Fault{Path: "/v0/nodes", Effect: FailBefore, Nth: tt.nth, Times: tt.times})
			var marks strings.Builder
			for range 6 {
				status, _ := w.send("GET", "/v0/nodes", "")
				marks.WriteString(map[bool]string{true: ".", false: "f"}[status == 200])
			}
			got := marks.String()
			if got != tt.want || w.Struck() != strings.Count(tt.want, "f") {
				t.Errorf("Nth %d, Times %d: got %s, struck %d; want %s", tt.nth, tt.times, got, w.Struck(), tt.want)
			}
		})
	}
}

func TestMS8_5AStaleReadAnswersWhatThePathAnsweredBefore(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.Published(gib, "sata-1")
		w.Inject(Fault{Path: "/v0/volumes/*", Effect: StaleRead, Nth: 2})
		w.volume(v)
		w.scale(v, 2)
		if got := w.volume(v).Spec.NumReplicas; got != 1 {
			t.Errorf("got %d, want the old 1", got)
		}
		if got := w.volume(v).Spec.NumReplicas; got != 2 {
			t.Errorf("got %d after it, want 2", got)
		}
	})
}

func TestMS8_5WrongListsAndBrokenJSON(t *testing.T) {
	const list = "/v0/volumes?max_entries=0"
	play(t, Config{}, 2, func(w *world) {
		a, b := w.Published(gib, "sata-1"), w.Published(gib, "sata-2")
		ids := func() (got []string) {
			for _, v := range read[volumesJSON](w, list).Entries {
				got = append(got, v.Spec.UUID)
			}
			return got
		}
		w.Inject(Fault{Path: "/v0/volumes", Effect: DuplicateEntry}, Fault{Path: "/v0/volumes", Effect: OmitVolume, Volume: b, Nth: 2})
		if got := strings.Join(ids(), " "); got != a+" "+b+" "+a {
			t.Errorf("got %s, want the first repeated", got)
		}
		if got := strings.Join(ids(), " "); got != a {
			t.Errorf("got %s, want the second missing", got)
		}
		w.Inject(Fault{Effect: MalformedJSON})
		if status, body := w.send("GET", list, ""); status != 200 || strings.HasSuffix(body, "}") {
			t.Errorf("got %d %q, want half a body", status, body)
		}
		w.Inject(Fault{Effect: FailBefore, Times: -1})
		w.ClearFaults()
		if got := len(ids()); got != 2 {
			t.Errorf("got %d entries, want 2 once faults are cleared", got)
		}
	})
}

func TestMS8_5AHookActsBetweenTheOperationAndItsAnswer(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.Published(gib, "sata-1")
		var before, after int
		w.Inject(Fault{
			Name: "hook", Method: "PUT",
			Before: func() { before = w.Replicas(v) },
			After:  func() { after = w.Replicas(v); w.act(w.DeleteVolume(v)) },
		})
		w.scale(v, 2)
		w.want("GET", "/v0/volumes/"+v, "", 404, "NotFound")
		if before != 1 || after != 2 || w.Calls()[0].Fault != "hook" {
			t.Errorf("got %d before and %d after, recorded %q", before, after, w.Calls()[0].Fault)
		}
	})
}

func TestMS8_3ACoreRestartClearsAnOperationInTheMiddle(t *testing.T) {
	outcomes := map[int]bool{}
	for seed := range uint64(10) {
		play(t, Config{Latency: 2 * time.Second, Seed: seed}, 2, func(w *world) {
			v := w.Published(gib, "sata-1")
			w.Inject(Fault{Before: func() {
				w.locked(func() { w.after(time.Second, func() { w.restartCore() }) })
			}})
			w.want("PUT", count(v, 2), "", 503, "Unavailable")
			if got := w.volume(v); got.Spec.NumReplicas != 1 || got.Spec.Operation != nil || got.State.Status != "Unknown" {
				t.Errorf("got %d replicas, operation %v, %s", got.Spec.NumReplicas, got.Spec.Operation, got.State.Status)
			}
			outcomes[len(w.Truth(v))] = true
			settle()
			w.wantOn(v, "sata-1")
			w.scale(v, 2)
			w.noViolations()
		})
	}
	if len(outcomes) != 2 {
		t.Errorf("got %v replicas over the seeds, want both 1 and an orphan's 2", outcomes)
	}
}

func TestMS8_3TheCoreCanBeOutOfReach(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.Published(100*gib, "sata-1")
		w.scale(v, 2)
		w.CoreDown(time.Minute)
		w.want("GET", "/v0/volumes/"+v, "", 503, "Unavailable")
		w.want("GET", "/v0/pools", "", 503, "Unavailable")
		w.send("GET", "/v0/api/spec", "") // served by REST itself
		time.Sleep(time.Minute)
		if got := w.progress(v, w.on(v)[0]) + w.progress(v, w.on(v)[1]); got < 20 {
			t.Errorf("got %d%%, want the rebuild to have gone on", got)
		}
	})
}

func TestMS8_3ANodeThatDiesDuringARebuild(t *testing.T) {
	play(t, Config{FaultedWait: 2 * time.Minute}, 3, func(w *world) {
		v := w.Published(100*gib, "sata-1")
		w.growTo(v, "nvme-2", 2)
		time.Sleep(10 * time.Second)
		w.act(w.NodeDown("node-2"))
		time.Sleep(15 * time.Second)
		r := topology(w.volume(v))["nvme-2"]
		if r.State != "Unknown" || r.ChildStatus != "Faulted" || r.Usage != nil || r.Node != "node-2" {
			t.Errorf("got %+v, want Unknown, Faulted, without usage, with its node from the spec", r)
		}
		if w.pool("nvme-2").State != nil {
			t.Error("the pool of a dead node has a state")
		}
		settle()
		settle()
		if got := w.Synced(v); got != 2 {
			t.Errorf("got %d synced, want a replacement", got)
		}
		w.noViolations()
	})
}

func TestMS8_3PublishAndUnpublishDuringARebuild(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.Published(100*gib, "sata-1")
		w.growTo(v, "nvme-2", 2)
		time.Sleep(10 * time.Second)
		w.act(w.Unpublish(v))
		settle()
		if got := w.Synced(v); got != 1 {
			t.Errorf("got %d synced, want no rebuild without a target", got)
		}
		w.act(w.Publish(v, "node-3"))
		settle()
		settle()
		if got := w.Synced(v); got != 2 {
			t.Errorf("got %d synced after the next publish, want 2", got)
		}
	})
}

func TestMS8_3AUserInterferes(t *testing.T) {
	play(t, Config{}, 4, func(w *world) {
		v := w.Published(gib, "sata-1", "sata-2")
		w.act(w.UserScale(v, 3))
		if got := w.Counts(v); got != (Counts{}) {
			t.Errorf("got %+v, want a user's change not counted", got)
		}
		if err := w.UserScale(v, 5); err == nil {
			t.Error("a user may skip upstream's checks")
		}
		w.act(w.Resize(v, 2*gib))
		if got := w.volume(v).Spec.Size; got != 2*gib {
			t.Errorf("got size %d, want 2 GiB", got)
		}
		w.act(w.Drain("node-1", "theirs"))
		got := w.volume(v)
		if got.Spec.Target.Node == "node-1" {
			t.Error("the target is still on the drained node")
		}
		state := read[nodeJSON](w, "/v0/nodes/node-1").Spec.CordonDrainState
		if state == nil || state.DrainedState == nil {
			t.Errorf("got %+v, want the node drained", state)
		}
		w.act(w.Undrain("node-1", "theirs"))
		w.act(w.UpgradeNode("node-2", "2.11.0"))
		if got := read[nodeJSON](w, "/v0/nodes/node-2"); got.Spec.Version != "2.11.0" || got.State.Version != "2.11.0" {
			t.Errorf("got version %s, want 2.11.0", got.Spec.Version)
		}
		w.act(w.DeleteVolume(v))
		w.want("PUT", count(v, 2), "", 404, "NotFound")
		if got := *w.pool("sata-1").State.Committed; got != 0 {
			t.Errorf("got %d bytes committed after the delete, want 0", got)
		}
		w.noViolations()
	})
}

package simulator

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMS1_2AMissingRouteIs404WithoutABodyAndAMissingObjectWithOne(t *testing.T) {
	const nobody = "514ed1c8-7174-49ac-b9cd-ad44ef670a67"
	play(t, Config{Profile: Old}, 1, func(w *world) {
		for _, c := range [][2]string{
			{"GET", "/"},
			{"GET", "/v0/nothing"},
			{"POST", "/v0/volumes"},
			{"PATCH", "/v0/pools/sata-1"},
			{"GET", "/v0/pools/"},
			{"PUT", "/v0/pools/sata-1/cordon"},
			{"DELETE", "/v0/pools/sata-1/cordon"},
			{"PUT", "/v0/volumes/" + nobody + "/replica_count"},
		} {
			if body := w.want(c[0], c[1], `{"replicas":true}`, 404, ""); body != "" {
				t.Errorf("%s %s: got body %q, want none", c[0], c[1], body)
			}
		}
		for _, path := range []string{
			"/v0/volumes/" + nobody, "/v0/pools/nope", "/v0/nodes/nope", "/v0/nodes/nope/pools", "/v0/replicas/" + nobody,
			"/v0/nexuses/" + nobody, "/v0/volumes/" + nobody + "/rebuild-history", "/v0/volumes/snapshots/" + nobody, "/v0/nodes/node-1/pools/nope",
		} {
			w.want("GET", path, "", 404, "NotFound")
		}
		w.want("PUT", count(nobody, 2), "", 404, "NotFound")
		w.want("PUT", "/v0/nodes/nope/cordon/mine", "", 404, "NotFound")
		w.want("GET", "/v0/volumes/nope", "", 400, "Deserialize")
		w.want("PUT", "/v0/volumes/nope/replica_count/2", "", 400, "Deserialize")
		w.want("PUT", "/v0/volumes/"+nobody+"/replica_count/256", "", 404, "NotFound")
		w.noViolations()
	})
}

func TestMS1_3EachKindHasItsStatus(t *testing.T) {
	want := map[int][]string{
		400: {"Deserialize", "InvalidArgument"}, 401: {"Unauthenticated", "Unauthorized", "PermissionDenied"}, 404: {"NotFound"},
		406: {"NotAcceptable"}, 408: {"Timeout"}, 409: {"Conflict", "Deleting", "InUse"},
		412: {"FailedPrecondition", "NotShared", "AlreadyShared", "NotPublished", "AlreadyPublished"}, 416: {"OutOfRange"},
		422: {"AlreadyExists"}, 500: {"Internal"}, 501: {"Unimplemented"}, 503: {"Aborted", "Unavailable"}, 504: {"DeadlineExceeded"},
		507: {"ResourceExhausted", "FailedPersist", "CapacityLimitExceeded"},
	}
	n := 0
	for status, kinds := range want {
		for _, k := range kinds {
			n++
			if got := refuse(k, "").status; got != status {
				t.Errorf("%s: got %d, want %d", k, got, status)
			}
		}
	}
	if n != len(statusOfKind) {
		t.Errorf("%d kinds are known, want %d", len(statusOfKind), n)
	}
}

func TestMS1_4VolumesArePaged(t *testing.T) {
	play(t, Config{}, 1, func(w *world) {
		var all []string
		for range 5 {
			all = append(all, w.Published(gib, "sata-1"))
		}
		page := func(path string) ([]string, *int) {
			list := read[volumesJSON](w, path)
			ids := []string{}
			for _, v := range list.Entries {
				ids = append(ids, v.Spec.UUID)
			}
			return ids, list.NextToken
		}
		for _, tt := range []struct {
			name, query string
			want        []string
			next        *int
		}{
			{"0 means all, without a token", "max_entries=0", all, nil},
			{"a page ends with the next token", "max_entries=2", all[:2], new(2)},
			{"the token goes on", "max_entries=2&starting_token=2", all[2:4], new(4)},
			{"the last page has no token", "max_entries=2&starting_token=4", all[4:], nil},
			{"a page that fits exactly has none", "max_entries=5", all, nil},
			{"beyond the end is empty", "max_entries=2&starting_token=9", []string{}, nil},
			{"a huge page is no overflow", fmt.Sprintf("max_entries=%d&starting_token=3", int64(1)<<62), all[3:], nil},
			{"one volume by id", "max_entries=0&volume_id=" + all[3], all[3:4], nil},
			{"an unknown id is an empty list", "max_entries=0&volume_id=514ed1c8-7174-49ac-b9cd-ad44ef670a67", []string{}, nil},
		} {
			ids, next := page("/v0/volumes?" + tt.query)
			if d := cmp.Diff(ids, tt.want); d != "" {
				t.Errorf("%s: entries (-got +want):\n%s", tt.name, d)
			}
			if d := cmp.Diff(next, tt.next); d != "" {
				t.Errorf("%s: next_token (-got +want):\n%s", tt.name, d)
			}
		}
		for _, query := range []string{"", "max_entries=x", "max_entries=-1", "max_entries=1&starting_token=x", "max_entries=1&volume_id=x"} {
			w.want("GET", "/v0/volumes?"+query, "", 400, "Deserialize")
		}
	})
}

func TestMS1_4ADeleteBetweenTwoPagesSkipsOneVolumeAndRepeatsNone(t *testing.T) {
	play(t, Config{}, 1, func(w *world) {
		var all []string
		for range 6 {
			all = append(all, w.Published(gib, "sata-1"))
		}
		first := read[volumesJSON](w, "/v0/volumes?max_entries=3")
		w.act(w.DeleteVolume(all[0])) // the last one is moved into its place
		second := read[volumesJSON](w, "/v0/volumes?max_entries=3&starting_token=3")
		var seen []string
		for _, v := range append(first.Entries, second.Entries...) {
			seen = append(seen, v.Spec.UUID)
		}
		if slices.Contains(seen, all[5]) || len(seen) != 5 {
			t.Errorf("got %d volumes with the moved one %v, want 5 without it", len(seen), slices.Contains(seen, all[5]))
		}
	})
}

func TestMS1_4ADeleteAndAddBetweenTwoPagesRepeatsAVolume(t *testing.T) {
	// The list shrinks behind the reader: going back to a lower token after a
	// delete meets the moved element again.
	play(t, Config{}, 1, func(w *world) {
		var all []string
		for range 4 {
			all = append(all, w.Published(gib, "sata-1"))
		}
		last := read[volumesJSON](w, "/v0/volumes?max_entries=2&starting_token=2").Entries[1].Spec.UUID
		w.act(w.DeleteVolume(all[0]))
		if got := read[volumesJSON](w, "/v0/volumes?max_entries=2").Entries[0].Spec.UUID; got != last {
			t.Errorf("got %s first, want the moved %s", got, last)
		}
	})
}

func TestMS1_4AVolumeCanBeMissingFromTheListForAWhile(t *testing.T) {
	play(t, Config{}, 1, func(w *world) {
		v := w.Published(gib, "sata-1")
		w.act(w.HideFromList(v, time.Minute))
		if n := len(read[volumesJSON](w, "/v0/volumes?max_entries=0").Entries); n != 0 {
			t.Errorf("got %d entries, want none", n)
		}
		w.volume(v) // by id it answers
		time.Sleep(time.Minute)
		if n := len(read[volumesJSON](w, "/v0/volumes?max_entries=0").Entries); n != 1 {
			t.Errorf("got %d entries after a minute, want 1", n)
		}
	})
}

func TestMS1_5ReadsAreAsOldAsTheLastPollButAPutAnswersFreshly(t *testing.T) {
	play(t, Config{CachePeriod: 30 * time.Second, RebuildRate: 100 * mib}, 3, func(w *world) {
		v := w.Published(10*gib, "sata-1", "sata-2") // 5 GiB to copy: 51.2 s
		time.Sleep(5 * time.Second)
		w.scale(v, 3)
		progress := func() any {
			for _, r := range w.volume(v).State.ReplicaTopology {
				if r.RebuildProgress != nil {
					return *r.RebuildProgress
				}
			}
			return nil
		}
		for _, tt := range []struct {
			wait time.Duration
			want any
			why  string
		}{
			{0, 0, "the PUT refreshed the cache"},
			{24 * time.Second, 0, "no poll since"},
			{2 * time.Second, 48, "the poll at 30 s saw 25 s of rebuild"},
			{27 * time.Second, 48, "it is done for 2 s, unseen"},
			{3 * time.Second, nil, "the poll at 60 s saw the end"},
		} {
			time.Sleep(tt.wait)
			if got := progress(); got != tt.want {
				t.Errorf("progress at %s: got %v, want %v: %s", w.Now().Sub(w.started), got, tt.want, tt.why)
			}
		}
	})
}

func TestMS1_5FreshReadsShowTheRebuildAsItIs(t *testing.T) {
	play(t, Config{RebuildRate: 100 * mib}, 3, func(w *world) {
		v := w.Published(10*gib, "sata-1", "sata-2")
		w.scale(v, 3)
		time.Sleep(25600 * time.Millisecond)
		for pool, r := range topology(w.volume(v)) {
			if r.RebuildProgress != nil && *r.RebuildProgress != 50 {
				t.Errorf("%s: got %d%%, want 50%%", pool, *r.RebuildProgress)
			}
		}
	})
}

func TestMS1_5AnOperationThatTakesTimeGoesOnWithoutItsClient(t *testing.T) {
	play(t, Config{Latency: 2 * time.Second}, 3, func(w *world) {
		v := w.Published(gib, "sata-1")
		short := &http.Client{Transport: w.http.Transport, Timeout: time.Second}
		req, err := http.NewRequest(http.MethodPut, BaseURL+count(v, 2), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := short.Do(req); err == nil {
			_ = resp.Body.Close()
			t.Fatalf("got %d, want a timeout", resp.StatusCode)
		}
		if op := w.volume(v).Spec.Operation; op == nil || op.Operation != "SetReplica" || op.Result != nil {
			t.Errorf("got operation %+v, want SetReplica without a result", op)
		}
		w.want("PUT", count(v, 2), "", 409, "Conflict") // the guard wait ends 0.2 s too early
		time.Sleep(time.Second)
		if got := w.volume(v); got.Spec.NumReplicas != 2 || got.Spec.Operation != nil {
			t.Errorf("got %d replicas and operation %v, want 2 and none", got.Spec.NumReplicas, got.Spec.Operation)
		}
	})
}

func TestMS1_3TheGuardWaitCanOutlastAShortOperation(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.Published(gib, "sata-1")
		w.act(w.OpenOperation(v, "Resize", 500*time.Millisecond))
		w.scale(v, 2)
		w.act(w.OpenOperation(v, "Resize", 5*time.Second))
		start := time.Now()
		w.want("PUT", count(v, 3), "", 409, "Conflict")
		if got := time.Since(start); got != 800*time.Millisecond {
			t.Errorf("the refusal took %s, want 800ms", got)
		}
	})
}

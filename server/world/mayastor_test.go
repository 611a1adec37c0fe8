package world

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// fakeInventory answers with one pool and one node that are Online.
type fakeInventory struct {
	mu      sync.Mutex
	prevs   []*mayastor.Inventory
	claimed string
	err     error
	hang    bool
}

func (f *fakeInventory) Inventory(ctx context.Context, prev *mayastor.Inventory, claimed string, now time.Time) (*mayastor.Inventory, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prevs = append(f.prevs, prev)
	f.claimed = claimed
	if f.hang {
		<-ctx.Done()
		return nil, &mayastor.Error{Op: "list nodes", Err: ctx.Err()}
	}
	if f.err != nil {
		return nil, f.err
	}
	since := now
	if prev != nil {
		since = prev.PoolOnlineSince["pool-1"]
	}
	return &mayastor.Inventory{At: now, PoolOnlineSince: map[string]time.Time{"pool-1": since}}, nil
}

func newTestMayastor(t *testing.T, r InventoryReader) *Mayastor {
	t.Helper()
	m := NewMayastor(MayastorConfig{
		Reader: r, URL: "http://mayastor.test:8081", Claimed: "2.9", Limits: testLimits,
		Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(m.Close)
	return m
}

func TestInventoryIsReadOnDemandAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeInventory{}
		m := newTestMayastor(t, f)
		if m.Tried() {
			t.Error("tried before anybody asked")
		}
		src, inv := m.Read(t.Context())
		if diff := cmp.Diff(src, tiering.Source{OK: true, Since: time.Now(), Reason: Available, Message: "Mayastor answers."}); diff != "" {
			t.Errorf("got (-) want (+):\n%s", diff)
		}
		if inv == nil || !m.Tried() || f.claimed != "2.9" {
			t.Errorf("inventory %v, tried %v, claimed %q", inv, m.Tried(), f.claimed)
		}
		if _, again := m.Read(t.Context()); again != inv {
			t.Error("a second caller within the time to live got another inventory")
		}
	})
}

func TestMayastorDownKeepsTheLastInventoryForDisplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeInventory{}
		m := newTestMayastor(t, f)
		_, first := m.Read(t.Context())
		f.err = &mayastor.Error{Op: "list nodes", Status: 503, Kind: "Unavailable", Message: "core 10.0.0.7 is away"}
		time.Sleep(testLimits.Fresh() + 1)
		src, inv := m.Read(t.Context())
		if inv != first {
			t.Errorf("got %v, want the last good inventory", inv)
		}
		want := tiering.Source{
			Reason:  QueryFailed,
			Message: "Mayastor at mayastor.test:8081 answers with an error (list nodes: 503 Unavailable), so no new move starts; look at the logs of its api-rest and agent-core pods.",
		}
		if diff := cmp.Diff(src, want); diff != "" {
			t.Errorf("got (-) want (+):\n%s", diff)
		}
		if st := m.State(); st.Up || !st.Tried || st.Read.IsZero() || st.Reason != QueryFailed {
			t.Errorf("got %+v", st)
		}
	})
}

func TestOnlineSinceIsCarriedOverUnlessTheSilenceWasLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeInventory{}
		m := newTestMayastor(t, f)
		start := time.Now()
		since := func() time.Duration {
			_, inv := m.Read(t.Context())
			return inv.PoolOnlineSince["pool-1"].Sub(start)
		}
		if got := since(); got != 0 {
			t.Errorf("online since %s, want the first reading", got)
		}
		time.Sleep(5 * time.Minute)
		if got := since(); got != 0 {
			t.Errorf("online since %s after a usual pause, want the first reading", got)
		}
		// A failed reading in between does not break the run by itself.
		f.err = errors.New("down")
		time.Sleep(5 * time.Minute)
		m.Read(t.Context())
		f.err = nil
		time.Sleep(maxRetry)
		if got := since(); got != 0 {
			t.Errorf("online since %s after one failed reading, want the first reading", got)
		}
		time.Sleep(maxGap + 1)
		if got, want := since(), 20*time.Minute+maxRetry+1; got != want {
			t.Errorf("online since %s after a long silence, want %s", got, want)
		}
	})
}

func TestMayastorThatHangsIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newTestMayastor(t, &fakeInventory{hang: true})
		src, inv := m.Read(t.Context())
		if inv != nil || src.OK || src.Reason != NotReadYet {
			t.Errorf("got %+v, %v, want %s", src, inv, NotReadYet)
		}
		time.Sleep(testLimits.Timeout)
		synctest.Wait()
		src, _ = m.Read(t.Context())
		want := tiering.Source{
			Reason:  TimedOut,
			Message: "Mayastor at mayastor.test:8081 did not answer in time, so no new move starts; look at the load and the restarts of its api-rest and agent-core pods.",
		}
		if diff := cmp.Diff(src, want); diff != "" {
			t.Errorf("got (-) want (+):\n%s", diff)
		}
	})
}

// The real client against servers that are not what they should be.
func TestMayastorFaultsAreNamed(t *testing.T) {
	const consequence = ", so no new move starts; "
	for _, c := range []struct {
		name            string
		status          int
		body            string
		reason, message string
	}{
		{
			"no such route", 404, "", BadAnswer,
			"What answers at HOST is not the REST API of Mayastor (list nodes: 404)" + consequence + "check --mayastor-url.",
		},
		{
			"a page of something else", 200, "<html>", BadAnswer,
			"What answers at HOST is not the REST API of Mayastor (read the API description: 200)" + consequence + "check --mayastor-url.",
		},
		{
			"no token", 401, `{"details":"","message":"","kind":"Unauthorized"}`, Unauthorized,
			"Mayastor at HOST refuses the credentials (read the API description: 401 Unauthorized)" + consequence + "check --mayastor-token-file.",
		},
		{
			"an error of its own", 500, `{"details":"at 12:34:56.789","message":"","kind":"Internal"}`, QueryFailed,
			"Mayastor at HOST answers with an error (read the API description: 500 Internal)" + consequence + "look at the logs of its api-rest and agent-core pods.",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			}))
			defer srv.Close()
			testFault(t, srv.URL, c.reason, c.message)
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		srv := httptest.NewServer(nil)
		srv.Close()
		testFault(t, srv.URL, Unreachable,
			"Mayastor at HOST cannot be reached (dial: connection refused)"+consequence+"check --mayastor-url and that its api-rest pod runs.")
	})
}

func testFault(t *testing.T, url, reason, message string) {
	t.Helper()
	r, err := mayastor.NewReader(mayastor.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	m := NewMayastor(MayastorConfig{Reader: r, URL: url, Limits: testLimits, Log: slog.New(slog.DiscardHandler)})
	defer m.Close()
	got, _ := m.Read(t.Context())
	want := tiering.Source{Reason: reason, Message: strings.ReplaceAll(message, "HOST", strings.TrimPrefix(url, "http://"))}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-) want (+):\n%s", diff)
	}
}

// Invariant 10, at the level of types: what the service holds of Mayastor has
// one method, and the type behind it in production has reads only.
func TestServiceCanOnlyReadMayastor(t *testing.T) {
	var _ InventoryReader = (*mayastor.Reader)(nil)
	if n := reflect.TypeFor[InventoryReader]().NumMethod(); n != 1 {
		t.Errorf("the service's view of Mayastor has %d methods, want one read", n)
	}
	reads := map[string]bool{
		"Capability": true, "Inventory": true, "Node": true, "Nodes": true, "Pool": true, "Pools": true,
		"RebuildHistory": true, "Volume": true, "Volumes": true,
	}
	for m := range reflect.TypeFor[*mayastor.Reader]().Methods() {
		if !reads[m.Name] {
			t.Errorf("mayastor.Reader has the method %s, which this test does not know as a read", m.Name)
		}
	}
}

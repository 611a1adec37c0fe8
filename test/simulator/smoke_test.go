package simulator

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// world is a cluster and a client for it.
type world struct {
	Cluster
	t    *testing.T
	http *http.Client
}

// play runs f on a cluster inside a synctest bubble.
func play(t *testing.T, cfg Config, nodes int, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := NewCluster(cfg, nodes)
		client, stop := c.Client()
		defer stop()
		f(&world{c, t, client})
	})
}

// call sends a request and returns status and body.
func (w *world) call(method, path, body string) (int, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, BaseURL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	var b strings.Builder
	if err := json.NewDecoder(resp.Body).Decode(new(json.RawMessage)); err != nil {
		return resp.StatusCode, ""
	}
	return resp.StatusCode, b.String()
}

func TestSmoke(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.Published(10*gib, "sata-1", "sata-2")
		if got, _ := w.call("PUT", "/v0/volumes/"+v+"/replica_count/3", ""); got != 200 {
			t.Fatalf("got %d", got)
		}
		time.Sleep(time.Minute)
		if got := w.Synced(v); got != 3 {
			t.Errorf("got %d synced, want 3: %+v", got, w.Truth(v))
		}
		if got := w.Violations(); len(got) > 0 {
			t.Error(got)
		}
	})
}

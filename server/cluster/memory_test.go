package cluster

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/billyronks/couchestor/test/budget"
)

// endless is an API server with many volumes, none of which it holds. It weighs
// the heap while it lists them.
type endless struct {
	*apiServer
	volumes int
	weighed chan int64
}

func (s *endless) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != volumesPath {
		return s.apiServer.RoundTrip(r)
	}
	in, out := io.Pipe()
	initial := r.URL.Query().Get("sendInitialEvents") == "true"
	go func() {
		w := bufio.NewWriter(out)
		var most int64
		// What the API server keeps of who wrote which field is often half of it.
		managed := strings.Repeat(`{"f:metadata":{"f:annotations":{}}},`, 30)
		for i := range s.volumes {
			fmt.Fprintf(w, `{"type":"ADDED","object":{"metadata":{"name":"pvc-5e1f0000-0000-4000-8000-%012d","uid":"f0000000-0000-4000-8000-%012d","resourceVersion":"%d","managedFields":[%s{}]},"spec":{"storageClassName":"mayastor","csi":{"driver":"io.openebs.csi-mayastor","volumeHandle":"5e1f0000-0000-4000-8000-%012d"},"claimRef":{"namespace":"shop","name":"data-%d","uid":"5e1f0000-0000-4000-8000-%012d"}}}}`+"\n", i, i, i+1, managed, i, i, i)
			if i%5_000 == 4_999 {
				w.Flush()
				most = max(most, budget.Heap())
			}
		}
		fmt.Fprintf(w, `{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"%d","annotations":{"k8s.io/initial-events-end":"true"}}}}`+"\n", s.volumes)
		w.Flush()
		s.weighed <- most
	}()
	if !initial {
		return nil, fmt.Errorf("got %s, want a list by a watch", r.URL)
	}
	return answer(r, http.StatusOK, in), nil
}

func TestListIsNotHeldWhole(t *testing.T) {
	const volumes = 20_000 // 1.4 KB of JSON each
	api := &endless{apiServer: newAPIServer(), volumes: volumes, weighed: make(chan int64, 1)}
	reader, err := New(Config{REST: &rest.Config{Host: "http://kubernetes.test", Transport: api}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	before := budget.Heap()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		reader.Run(ctx)
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if view, _ := reader.View(); view != nil && len(view.Volumes) == volumes {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("the list does not end")
		}
	}
	most, after := <-api.weighed, budget.Heap()
	t.Logf("%d bytes a volume at most, %d once listed", (most-before)/volumes, (after-before)/volumes)
	if each := (most - before) / volumes; each > 600 {
		t.Errorf("got %d bytes a volume while listing, want at most 600", each)
	}
	cancel()
	<-ended
	runtime.KeepAlive(reader)
}

package mayastor_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/budget"
)

// estate is a large cluster as the REST server of 2.12 tells of it: published
// thin volumes with two or three replicas on 100 nodes of two pools each.
type estate struct {
	volumes int
	// round of the reading. The server keeps replicas in a hash map, so each
	// answer has them in another order.
	round uint64
	// written volumes have other sizes allocated in each round, one in so many; 0
	// for none.
	written int
}

// page appends volumes from to to, and the token of the next page.
func (e estate) page(b []byte, from, to int) []byte {
	to = min(to, e.volumes)
	b = append(b, `{"entries":[`...)
	for i := from; i < to; i++ {
		if i > from {
			b = append(b, ',')
		}
		b = e.volume(b, i)
	}
	b = append(b, ']')
	if to < e.volumes {
		b = fmt.Appendf(b, `,"next_token":%d`, to)
	}
	return append(b, '}')
}

func (e estate) volume(b []byte, i int) []byte {
	const size = 10 << 30
	home := i % 100
	allocated := uint64(size/4 + i<<12)
	if e.written > 0 && i%e.written == 0 {
		allocated += e.round << 22
	}
	b = fmt.Appendf(b, `{"spec":{"labels":{"local":"true"},"num_replicas":%d,"operation":null,"size":%d,"status":"Created","target":{"node":"worker-%d.example.net","protocol":"nvmf","frontend_nodes":[{"name":"worker-%[3]d.example.net","nqn":"nqn.2019-05.io.openebs:node-name:worker-%[3]d.example.net"}]},"uuid":"%08x-5a4b-4c3d-8e2f-%012[4]x","topology":{"node_topology":{"labelled":{"exclusion":{},"inclusion":{},"affinity_key":[]}},"pool_topology":{"labelled":{"exclusion":{},"inclusion":{"openebs.io/created-by":"operator-diskpool"},"affinity_key":[]}}},"policy":{"self_heal":true},"thin":true,"num_snapshots":0,"encrypted":false,"sizeBdev":%d,"labelVersion":"v2"},`,
		2+i%2, int64(size), home, i, int64(size+5<<20))
	b = fmt.Appendf(b, `"state":{"target":{"children":[`)
	for k := range 2 + i%2 {
		if k > 0 {
			b = append(b, ',')
		}
		id := replicaID(i, k)
		if k == 0 {
			b = fmt.Appendf(b, `{"state":"Online","uri":"bdev:///%s?uuid=%[1]s"}`, id)
		} else {
			b = fmt.Appendf(b, `{"state":"Online","uri":"nvmf://10.20.0.%d:8420/nqn.2019-05.io.openebs:%s?uuid=%[2]s"}`, (home+7*k)%100, id)
		}
	}
	b = fmt.Appendf(b, `],"deviceUri":"nvmf://10.20.0.%d:8420/nqn.2019-05.io.openebs:%08x-5a4b-4c3d-8e2f-%012[2]x","node":"worker-%[1]d.example.net","rebuilds":0,"protocol":"nvmf","size":%[3]d,"state":"Online","uuid":"%08[2]x-6b5c-4d4e-9f30-%012[2]x"},"size":%[3]d,"status":"Online","uuid":"%08[2]x-5a4b-4c3d-8e2f-%012[2]x","replica_topology":{`,
		home, i, int64(size))
	order := rand.New(rand.NewPCG(e.round, uint64(i))).Perm(2 + i%2)
	for at, k := range order {
		if at > 0 {
			b = append(b, ',')
		}
		node := (home + 7*k) % 100
		b = fmt.Appendf(b, `"%s":{"node":"worker-%d.example.net","pool":"%s-worker-%[2]d","state":"Online","child-status":"Online","usage":{"capacity":%[4]d,"allocated":%[5]d,"allocated_snapshots":0,"allocated_all_snapshots":0},"healthy":true,"encrypted":false}`,
			replicaID(i, k), node, [2]string{"nvme", "sata"}[i/2%2], int64(size), allocated)
	}
	return fmt.Appendf(b, `},"usage":{"capacity":%d,"allocated":%d,"allocated_replica":%[2]d,"allocated_snapshots":0,"allocated_all_snapshots":0,"total_allocated":%[3]d,"total_allocated_replicas":%[3]d,"total_allocated_snapshots":0},"health":{"cleanShutdown":false,"healthyReplicas":2,"cleanReplicas":0,"onlineHealthyReplicas":2,"onlineCleanReplicas":0}}}`,
		int64(size), allocated, 2*allocated)
}

func replicaID(volume, k int) string {
	return fmt.Sprintf("%08x-%04x-4e5f-a031-%012x", uint32(volume)*2654435761, k, volume)
}

// server of an estate: what it sends is made once for each round, which count
// up with the readings and begin anew after the last.
type server struct {
	rounds []map[string][]byte // bodies by starting token
	asked  int                 // readings begun
	scrape func()              // called before each page, if set
}

func newServer(e estate, rounds int) *server {
	s := &server{}
	for round := range rounds {
		e.round = uint64(round)
		pages := map[string][]byte{}
		for from := 0; from == 0 || from < e.volumes; from += 500 {
			token := ""
			if from > 0 {
				token = strconv.Itoa(from)
			}
			pages[token] = bytes.Clone(e.page(nil, from, from+500))
		}
		s.rounds = append(s.rounds, pages)
	}
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.scrape != nil {
		s.scrape()
	}
	token := r.URL.Query().Get("starting_token")
	if token == "" {
		s.asked++
	}
	body := s.rounds[s.asked%len(s.rounds)][token]
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

func (s *server) bytes() (n int) {
	for _, body := range s.rounds[0] {
		n += len(body)
	}
	return n
}

// live is the server of an estate that makes its pages as they are asked for,
// each time in a new round.
type live struct {
	estate
	asked   atomic.Uint64
	buffers sync.Pool
	scrape  func() // called before each page, if set
}

func (l *live) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if l.scrape != nil {
		l.scrape()
	}
	from, _ := strconv.Atoi(r.URL.Query().Get("starting_token"))
	e := l.estate
	e.round = l.asked.Add(1)
	buffer, _ := l.buffers.Get().(*[]byte)
	if buffer == nil {
		buffer = new([]byte)
	}
	defer l.buffers.Put(buffer)
	body := e.page((*buffer)[:0], from, from+500)
	*buffer = body
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// BenchmarkInventoryPaging reads all volumes again and again, over HTTP and in
// pages as they are configured. x-token-scan compares with the bare token scan of
// the same bytes in the same run. At rest nothing changes but the order of
// replicas; else a part of the volumes was written to since the reading before.
func BenchmarkInventoryPaging(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		for _, c := range []struct {
			name    string
			written int
		}{{"at rest", 0}, {"a tenth written", 10}, {"all written", 1}} {
			b.Run(fmt.Sprintf("%d volumes, %s", n, c.name), func(b *testing.B) {
				s := newServer(estate{volumes: n, written: c.written}, 3)
				reader := overHTTP(b, s)
				before := budget.Heap()
				all := readVolumes(b, reader, nil, n)
				held := budget.Heap() - before
				var bare time.Duration
				b.SetBytes(int64(s.bytes()))
				b.ReportAllocs()
				for b.Loop() {
					all = readVolumes(b, reader, all, n)
					b.StopTimer()
					for _, body := range s.rounds[0] {
						bare += budget.TokenScan(body)
					}
					b.StartTimer()
				}
				b.ReportMetric(float64(b.Elapsed())/float64(bare), "x-token-scan")
				b.ReportMetric(float64(held)/float64(n), "heap-B/volume")
				runtime.KeepAlive(all)
			})
		}
	}
}

// BenchmarkInventoryRefresh is about memory: peak-MiB is what was in use at most
// while an inventory was read anew, the one before and what is garbage by then
// included. The time is mostly that of making the pages.
func BenchmarkInventoryRefresh(b *testing.B) {
	const n = 100_000
	for _, c := range []struct {
		name    string
		written int
	}{{"at rest", 0}, {"all written", 1}} {
		b.Run(fmt.Sprintf("%d volumes, %s", n, c.name), func(b *testing.B) {
			s := &live{estate: estate{volumes: n, written: c.written}}
			reader := overHTTP(b, s)
			before := budget.Heap()
			all := readVolumes(b, reader, nil, n)
			held := budget.Heap() - before
			var peak uint64
			s.scrape = func() {
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak = max(peak, m.HeapAlloc)
			}
			b.ReportAllocs()
			for b.Loop() {
				all = readVolumes(b, reader, all, n)
			}
			b.ReportMetric(float64(int64(peak)-before)/(1<<20), "peak-MiB")
			b.ReportMetric(float64(held)/n, "heap-B/volume")
			runtime.KeepAlive(all)
		})
	}
}

// overHTTP reads what h serves on a port of this machine.
func overHTTP(tb testing.TB, h http.Handler) *mayastor.Reader {
	tb.Helper()
	web := httptest.NewServer(h)
	tb.Cleanup(web.Close)
	reader, err := mayastor.NewReader(mayastor.Config{URL: web.URL})
	if err != nil {
		tb.Fatal(err)
	}
	return reader
}

func readVolumes(t testing.TB, reader *mayastor.Reader, before []mayastor.Packed, n int) []mayastor.Packed {
	t.Helper()
	all, err := reader.Volumes(t.Context(), before)
	if err != nil || len(all) != n {
		t.Fatal(len(all), err)
	}
	return all
}

// BenchmarkPacked is what it costs to look at a volume of a reading, and to
// judge its health.
func BenchmarkPacked(b *testing.B) {
	const n = 1_000
	_, reader := reading(b, estate{volumes: n}, 1)
	all := readVolumes(b, reader, nil, n)
	for _, c := range []struct {
		name string
		look func(p mayastor.Packed) bool
	}{
		{"UUID", func(p mayastor.Packed) bool { return p.UUID() != "" }},
		{"Volume", func(p mayastor.Packed) bool { return p.Volume().Spec.UUID != "" }},
		{"Volume and Healthy", func(p mayastor.Packed) bool { return len(mayastor.Healthy(p.Volume())) == 0 }},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if !c.look(all[i%n]) {
					b.Fatal(all[i%n].Volume())
				}
			}
		})
	}
}

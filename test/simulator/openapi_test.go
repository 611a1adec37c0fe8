package simulator

import (
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/billyronks/couchestor/test/simulator/openapi"
)

// TestAnswersFitUpstreamsDescription walks through the states of a world and
// reads everything in each, through a transport that checks every answer.
func TestAnswersFitUpstreamsDescription(t *testing.T) {
	file := os.Getenv("MAYASTOR_OPENAPI")
	if file == "" {
		t.Log("MAYASTOR_OPENAPI is not set: the simulator's answers were not compared with upstream's description")
		return
	}
	everyProfile(t, func(t *testing.T, p Profile) {
		doc, err := openapi.Read(file)
		if err != nil {
			t.Fatal(err)
		}
		// The newest profile says what that description cannot know.
		doc.TolerateEnums = p == V2_12
		checked := map[string]int{}
		play(t, Config{Profile: p}, 4, func(w *world) {
			transport := doc.Transport(w.http.Transport, func(err error) { t.Error(err) })
			w.http = &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
				if doc.Has(req.Method, req.URL.EscapedPath()) {
					checked[req.Method+" "+strings.Split(req.URL.Path, "/")[2]]++
				}
				return transport.RoundTrip(req)
			})}
			walk(w)
		})
		for _, want := range []string{"GET volumes", "GET pools", "GET nodes", "GET specs", "GET replicas", "GET nexuses", "PUT volumes", "PUT nodes", "DELETE nodes", "PUT pools"} {
			if checked[want] == 0 {
				t.Errorf("no answer to %s was checked", want)
			}
		}
		t.Logf("%d answers were checked", sum(maps.Values(checked)))
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func sum(values func(func(int) bool)) (n int) {
	for v := range values {
		n += v
	}
	return n
}

// walk takes a world through its states and reads everything in each.
func walk(w *world) {
	plain := w.Published(10*gib, "sata-1", "sata-2")
	fancy := w.AddVolume(Volume{
		Pools: []string{"sata-1"}, Thick: true, Source: "25823425-41fa-434a-9efd-a356b70b5d7c", Snapshots: 2, AffinityGroup: "ns/db",
		AllowedNodes: []string{"node-1", "node-2"}, PoolInclusion: map[string]string{"tier": ""}, Labels: map[string]string{"a": "b"},
	})
	w.AddVolume(Volume{Pools: []string{"nvme-1", "nvme-2"}, NeverPublished: true, NodeSpread: []string{"zone"}, NodeInclusion: map[string]string{"rack": ""}})
	steps := []func(){
		func() {},
		func() { w.send("PUT", count(plain, 3), "") },
		func() { w.send("PUT", count(plain, 3), "") }, // refused
		func() { time.Sleep(10 * time.Second) },
		func() { settle() },
		func() { w.send("PUT", "/v0/nodes/node-1/cordon/mine", "") },
		func() { w.act(w.Drain("node-3", "theirs")) },
		func() { w.send("PUT", count(plain, 2), "") },
		func() { w.send("DELETE", "/v0/nodes/node-1/cordon/mine", "") },
		func() { w.send("PUT", "/v0/pools/sata-1/label/rack=a", "") },
		func() { w.send("DELETE", "/v0/pools/sata-1/label/rack", "") },
		func() { w.act(w.ForeignPoolCordon("sata-1", PoolCordon{Replicas: true}, PoolCordon{})) },
		func() { w.act(w.OpenOperation(plain, "CreateSnapshot", time.Hour)) },
		func() { w.act(w.DegradePool("nvme-1", true)) },
		func() { w.act(w.PoolDown("sata-1")) },
		func() { w.act(w.NodeDown("node-2")) },
		func() { time.Sleep(time.Minute) },
		func() { w.CoreRestart() },
		func() { settle() },
		func() { w.CoreDown(time.Second) },
	}
	for _, step := range steps {
		step()
		reads := []string{
			"/v0/volumes?max_entries=0", "/v0/volumes?max_entries=1", "/v0/pools", "/v0/nodes", "/v0/replicas", "/v0/nexuses", "/v0/specs",
			"/v0/volumes/snapshots?max_entries=0", "/v0/volumes/" + fancy + "/snapshots?max_entries=1", "/v0/pools/sata-1", "/v0/pools/nope",
			"/v0/nodes/node-1", "/v0/nodes/node-1/pools", "/v0/nodes/node-1/pools/sata-1", "/v0/nodes/node-1/replicas",
			"/v0/pools?volume_id=" + plain, "/v0/nodes/nope", "/v0/volumes/" + plain + "/snapshots/" + plain,
		}
		for _, v := range w.Volumes() {
			reads = append(reads, "/v0/volumes/"+v, "/v0/volumes/"+v+"/rebuild-history")
		}
		for _, r := range w.Truth(plain) {
			reads = append(reads, "/v0/replicas/"+r.UUID)
		}
		for _, path := range reads {
			w.send("GET", path, "")
		}
	}
}

func TestEveryPathOfTheSpecIsServed(t *testing.T) {
	everyProfile(t, func(t *testing.T, p Profile) {
		play(t, Config{Profile: p}, 1, func(w *world) {
			v := w.Published(gib, "sata-1")
			r := w.Truth(v)[0].UUID
			fill := strings.NewReplacer("{volume_id}", v, "{pool_id}", "sata-1", "{node_id}", "node-1", "{replica_id}", r, "{snapshot_id}", r,
				"{nexus_id}", r, "{replica_count}", "1", "{label}", "x", "{key}", "k", "{value}", "v", "{protocol}", "nvmf", "{child_id}", "c")
			spec := read[struct {
				Paths map[string]map[string]any `json:"paths"`
			}](w, "/v0/api/spec")
			for _, path := range slices.Sorted(maps.Keys(spec.Paths)) {
				for method := range spec.Paths[path] {
					if status, body := w.send(strings.ToUpper(method), "/v0"+fill.Replace(path), "{}"); status == 404 && body == "" {
						t.Errorf("%s %s is listed but not served", method, path)
					}
				}
			}
		})
	})
}

func TestListenServesTheSameOverTCP(t *testing.T) {
	c := NewCluster(Config{}, 1)
	url, stop, err := c.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(url + "/v0/nodes")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err = firstOf(err, resp.Body.Close()); err != nil || !strings.Contains(string(body), "node-1") {
		t.Errorf("got %q, %v", body, err)
	}
	if _, _, err := c.Listen("256.0.0.1:0"); err == nil {
		t.Error("an address that cannot be was listened on")
	}
	stop()
	if _, err := http.Get(url + "/v0/nodes"); err == nil {
		t.Error("it still answers after stop")
	}
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

package simulator

import (
	"bufio"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/billyronks/couchestor/test/golden"
)

// sample reads one metric of a volume; -1 when it is absent.
func (w *world) sample(path, name, volume string) (value float64, node string) {
	w.t.Helper()
	status, text := w.send("GET", path, "")
	if status != 200 {
		w.t.Fatalf("GET %s: got %d", path, status)
	}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		rest, found := strings.CutPrefix(lines.Text(), name+"{node=\"")
		if !found || !strings.Contains(rest, "pv_name=\"pvc-"+volume+"\"") {
			continue
		}
		node, _, _ = strings.Cut(rest, "\"")
		value, err := strconv.ParseFloat(rest[strings.LastIndex(rest, " ")+1:], 64)
		if err != nil {
			w.t.Fatal(err)
		}
		return value, node
	}
	return -1, ""
}

func TestMS7_1TheExportersTextIsUpstreams(t *testing.T) {
	play(t, Config{Seed: 7}, 2, func(w *world) {
		v := w.AddVolume(Volume{UUID: "ec4e66fd-3b33-4439-b504-d49aba53da26", Pools: []string{"sata-1", "nvme-2"}, Target: "node-1"})
		w.AddVolume(Volume{UUID: "514ed1c8-7174-49ac-b9cd-ad44ef670a67", Pools: []string{"sata-2"}}) // unpublished: no volume_ series
		w.SetLoad(v, 100, 50, 8192)
		time.Sleep(10 * time.Second)
		for _, tt := range []struct{ file, path string }{{"metrics.txt", "/metrics"}, {"metrics-node-2.txt", "/metrics/node-2"}} {
			status, got := w.send("GET", tt.path, "")
			if status != 200 {
				t.Fatalf("%s: got %d", tt.path, status)
			}
			parser := expfmt.NewTextParser(model.LegacyValidation)
			families, err := parser.TextToMetricFamilies(strings.NewReader(got))
			if err != nil {
				t.Errorf("%s: Prometheus cannot parse it: %v", tt.path, err)
			}
			for name, f := range families {
				if f.GetType().String() != "GAUGE" {
					t.Errorf("%s is a %s, want a gauge as upstream has it", name, f.GetType())
				}
			}
			golden.Check(t, filepath.Join("testdata", tt.file), got)
		}
	})
}

func TestMS7_1CountersGrowWithTheLoad(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.Published(10*gib, "sata-1", "nvme-2")
		w.SetLoad(v, 100, 50, 0)
		time.Sleep(10 * time.Second)
		w.SetLoad(v, 0, 200, 0)
		time.Sleep(10 * time.Second)
		for name, want := range map[string]float64{
			"volume_num_read_ops": 1000, "volume_num_write_ops": 2500, "volume_bytes_read": 1000 * 4096, "volume_bytes_written": 2500 * 4096,
			// Reads alternate between 4 ms and 150 us, writes wait for the slower.
			"volume_read_latency_us": 1000 * (4000 + 150) / 2, "volume_write_latency_us": 2500 * 4000,
		} {
			if got, node := w.sample("/metrics", name, v); got != want || node != "node-1" {
				t.Errorf("%s: got %v on %s, want %v on node-1", name, got, node, want)
			}
		}
	})
}

func TestMS7_1CountersRestartWithTheNexusAndMoveWithTheTarget(t *testing.T) {
	const ops = "volume_num_read_ops"
	play(t, Config{}, 3, func(w *world) {
		v := w.Published(10*gib, "sata-1", "nvme-2")
		w.SetLoad(v, 100, 0, 0)
		expect := func(why string, want float64, on string) {
			t.Helper()
			if got, node := w.sample("/metrics", ops, v); got != want || node != on {
				t.Errorf("%s: got %v on %q, want %v on %q", why, got, node, want, on)
			}
		}
		time.Sleep(10 * time.Second)
		expect("published", 1000, "node-1")
		w.act(w.HASwitchover(v, "node-3"))
		expect("switched over", 0, "node-3")
		time.Sleep(2 * time.Second)
		expect("2 s later", 200, "node-3")
		if got, _ := w.sample("/metrics/node-1", ops, v); got != -1 {
			t.Errorf("the old node still exports it: %v", got)
		}
		if got, _ := w.sample("/metrics/node-3", ops, v); got != 200 {
			t.Errorf("the new node: got %v, want 200", got)
		}
		w.act(w.RestartIOEngine("node-3"))
		expect("its io-engine restarted, no nexus yet", -1, "")
		time.Sleep(2 * time.Second) // the nexus came back after 1 s
		expect("created again", 100, "node-3")
		w.act(w.Unpublish(v))
		expect("unpublished", -1, "")
		w.act(w.Publish(v, "node-1"))
		expect("published again", 0, "node-1")
	})
}

func TestMS7_1RebuildTrafficCountsInReplicasAndPoolsNotInVolumes(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.AddVolume(Volume{Pools: []string{"sata-1"}, Target: "node-1", Allocated: gib})
		w.growTo(v, "nvme-2", 2)
		settle()
		_, text := w.send("GET", "/metrics", "")
		for _, want := range []string{
			`diskpool_bytes_written{node="node-2",name="nvme-2"} 1073741824`, `diskpool_num_write_ops{node="node-2",name="nvme-2"} 16384`,
			`diskpool_bytes_read{node="node-1",name="sata-1"} 1073741824`, `volume_bytes_written{node="node-1",pv_name="pvc-` + v + `"} 0`,
		} {
			if !strings.Contains(text, want+"\n") {
				t.Errorf("%s is missing", want)
			}
		}
	})
}

func TestMS7_1ADeadNodeExportsNothing(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		w.Published(gib, "sata-1", "sata-2")
		w.act(w.NodeDown("node-2"))
		if _, text := w.send("GET", "/metrics", ""); strings.Contains(text, `node="node-2"`) {
			t.Error("the text of all nodes has samples of the dead one")
		}
		w.want("GET", "/metrics/node-2", "", 503, "Unavailable")
		w.want("GET", "/metrics/nope", "", 404, "")
	})
}

func TestMS7_1EverySeriesOnlyGrowsWhileNothingMoves(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.Published(10*gib, "sata-1")
		w.SetLoad(v, 10, 10, 0)
		var last []float64
		for range 20 {
			time.Sleep(700 * time.Millisecond)
			if len(last) == 5 {
				w.scale(v, 2) // a rebuild begins meanwhile
			}
			got, _ := w.sample("/metrics", "volume_num_write_ops", v)
			last = append(last, got)
		}
		if !slices.IsSorted(last) || last[0] == last[19] {
			t.Errorf("got %v, want it to grow", last)
		}
	})
}

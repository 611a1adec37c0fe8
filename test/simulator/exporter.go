package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Load is what an application does to a volume while it is published.
type Load struct {
	ReadIOPS, WriteIOPS float64
	BytesPerOp          float64 // 0 means 4096
}

// SetLoad changes a volume's load from now on.
func (s *Simulator) SetLoad(volume string, readIOPS, writeIOPS, bytesPerOp float64) {
	s.locked(func() {
		if v, found := s.volumes.get(volume); found {
			s.accrue(v)
			v.load = Load{readIOPS, writeIOPS, bytesPerOp}
		}
	})
}

// ioCounters are cumulative, like the io-engine's.
type ioCounters struct {
	readOps, writeOps, bytesRead, bytesWritten float64
	readLatency, writeLatency                  float64 // sums, microseconds
	at                                         time.Time
}

func (c *ioCounters) add(reads, writes, bytesPerOp, readLatency, writeLatency float64) {
	c.readOps += reads
	c.writeOps += writes
	c.bytesRead += reads * bytesPerOp
	c.bytesWritten += writes * bytesPerOp
	c.readLatency += reads * readLatency
	c.writeLatency += writes * writeLatency
}

// rebuildSegment is what a rebuild copies at a time (MS 4.6).
const rebuildSegment = 64 << 10

// accrue counts v's I/O up to now. It must run before anything changes that the
// rates depend on: load, children, nexus.
func (s *Simulator) accrue(v *volume) {
	x := v.nexus
	if x == nil {
		return
	}
	seconds := s.clock.Sub(x.io.at).Seconds()
	x.io.at = s.clock
	online := v.onlineChildren()
	if seconds <= 0 || online == 0 {
		return
	}
	size := v.load.BytesPerOp
	if size == 0 {
		size = 4096
	}
	reads, writes := v.load.ReadIOPS*seconds, v.load.WriteIOPS*seconds
	var readLatency, writeLatency float64
	for _, c := range x.children {
		own := float64(c.replica.pool.latency.Microseconds())
		if c.state == "Faulted" {
			continue
		}
		share := 0.0
		if c.state == "Online" {
			share = reads / float64(online)
			readLatency += own / float64(online)
		}
		writeLatency = max(writeLatency, own) // the slowest child decides
		c.replica.io.add(share, writes, size, own, own)
		c.replica.pool.io.add(share, writes, size, own, own)
		if j := c.job; j != nil {
			segments := (s.copied(j) - j.counted) / rebuildSegment
			j.counted = s.copied(j)
			for _, io := range []*ioCounters{&c.replica.io, &c.replica.pool.io} {
				io.add(0, segments, rebuildSegment, 0, own)
			}
			for _, io := range []*ioCounters{&j.source.io, &j.source.pool.io} {
				io.add(segments, 0, rebuildSegment, float64(j.source.pool.latency.Microseconds()), 0)
			}
		}
	}
	x.io.add(reads, writes, size, readLatency, writeLatency)
}

// family is one metric with its samples.
type family struct {
	name, help string
	samples    []string
}

// ioMetrics are the counters each of volume, replica and pool has; upstream
// exposes them all as gauges.
var ioMetrics = []struct {
	name, help string
	value      func(*ioCounters) float64
}{
	{"num_read_ops", "number of read operations", func(c *ioCounters) float64 { return c.readOps }},
	{"num_write_ops", "number of write operations", func(c *ioCounters) float64 { return c.writeOps }},
	{"bytes_read", "bytes read", func(c *ioCounters) float64 { return c.bytesRead }},
	{"bytes_written", "bytes written", func(c *ioCounters) float64 { return c.bytesWritten }},
	{"read_latency_us", "total read latency in microseconds", func(c *ioCounters) float64 { return c.readLatency }},
	{"write_latency_us", "total write latency in microseconds", func(c *ioCounters) float64 { return c.writeLatency }},
}

// getMetrics is the exporter of one io-engine, or of all of them in one text
// (MS 7.1). A node that is down has no exporter.
func getMetrics(s *Simulator, req *Request) *answer {
	on := s.nodes.values
	if id, one := req.params["node_id"]; one {
		n, found := s.nodes.get(id)
		if !found {
			return emptyNotFound()
		}
		if !n.up {
			return refuse("Unavailable", "node "+id+" is down")
		}
		on = []*node{n}
	}
	var families []*family
	index := map[string]*family{}
	sample := func(name, help, labels string, value float64) {
		f := index[name]
		if f == nil {
			f = &family{name: name, help: help}
			index[name], families = f, append(families, f)
		}
		f.samples = append(f.samples, fmt.Sprintf("%s{%s} %d\n", name, labels, int64(value)))
	}
	for _, v := range s.volumes.values {
		s.accrue(v)
	}
	pools := slices.SortedFunc(slices.Values(s.pools.values), func(a, b *pool) int { return strings.Compare(a.id, b.id) })
	for _, p := range pools {
		if !p.node.up || !p.imported || !slices.Contains(on, p.node) {
			continue
		}
		labels := fmt.Sprintf("node=%q,name=%q", p.node.id, p.id)
		w := s.observePool(p)
		sample("diskpool_total_size_bytes", "total size of the pool in bytes", labels, float64(p.capacity))
		sample("diskpool_used_size_bytes", "used size of the pool in bytes", labels, float64(w.used))
		sample("diskpool_committed_size_bytes", "committed size of the pool in bytes", labels, float64(w.committed))
		sample("diskpool_status", "status of the pool", labels, float64(max(0, slices.Index([]string{"Unknown", "Online", "Degraded", "Faulted"}, w.status))))
		for _, m := range ioMetrics {
			sample("diskpool_"+m.name, "pool "+m.help, labels, m.value(&p.io))
		}
	}
	for _, uuid := range slices.Sorted(slices.Values(s.volumes.keys)) {
		v, _ := s.volumes.get(uuid)
		if v.nexus == nil || !slices.Contains(on, v.nexus.node) {
			continue
		}
		for _, m := range ioMetrics {
			sample("volume_"+m.name, "volume "+m.help, fmt.Sprintf("node=%q,pv_name=%q", v.nexus.node.id, "pvc-"+uuid), m.value(&v.nexus.io))
		}
	}
	for _, uuid := range slices.Sorted(slices.Values(s.replicas.keys)) {
		r, _ := s.replicas.get(uuid)
		if r.volume == nil || !r.pool.online() || !slices.Contains(on, r.pool.node) {
			continue
		}
		for _, m := range ioMetrics {
			sample("replica_"+m.name, "replica "+m.help,
				fmt.Sprintf("node=%q,name=%q,pv_name=%q", r.pool.node.id, uuid, "pvc-"+r.volume.uuid), m.value(&r.io))
		}
	}
	var text strings.Builder
	for _, f := range families {
		fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s gauge\n%s", f.name, f.help, f.name, strings.Join(f.samples, ""))
	}
	return &answer{status: 200, raw: []byte(text.String()), text: true}
}

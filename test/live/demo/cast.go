package main

import (
	"fmt"
	"strings"

	"github.com/billyronks/couchestor/test/simulator"
)

// The parts of the play: volumes to which something is to happen, by the name
// of their claim.
const (
	busy     = "orders/postgres-0"
	idle     = "payments/archive"
	middle   = "orders/reports"
	mixed    = "payments/ledger"
	triple   = "orders/mysql-0"
	pinned   = "orders/legacy"
	detached = "payments/standby"
	crowded  = "payments/quorum"
	turning  = "sessions/redis-0"
	killed   = "sessions/memcached-0"
	later    = "sessions/redis-1"
	warming  = "search/last-week"
	cooling  = "search/last-year"
)

// volume is one member of the cast.
type volume struct {
	// claim is namespace/name, component the label that policies select by.
	claim, component string
	uuid             string
	// iops at the beginning, and the pools then.
	iops  float64
	pools []string
	// written is how much there is to rebuild.
	written int64
	shape   func(*simulator.Volume)
}

// policy that watches the volume.
func (v *volume) policy() string {
	return map[string]string{"database": "databases", "cache": "caches", "logs": "logs"}[v.component]
}

// pv is the name of its PersistentVolume.
func (v *volume) pv() string { return "pvc-" + v.uuid }

// tier where it begins.
func (v *volume) tier() string { return tierOf(v.pools) }

const usual = 320 * mib // two seconds of rebuild

// leads are the volumes that something happens to.
func leads() []*volume {
	return []*volume{
		{claim: busy, component: "database", iops: 20000, pools: []string{"sata-1", "sata-2"}},
		{claim: idle, component: "database", iops: 12, pools: []string{"nvme-3"}},
		{claim: middle, component: "database", iops: 2000, pools: []string{"sata-4", "sata-5"}},
		{claim: mixed, component: "database", iops: 2500, pools: []string{"nvme-1", "nvme-2", "sata-3"}},
		{claim: triple, component: "database", iops: 15000, pools: []string{"sata-1", "sata-2", "sata-3"}},
		{
			claim: pinned, component: "database", iops: 9000, pools: []string{"sata-2", "sata-3"},
			shape: func(v *simulator.Volume) { v.PoolInclusion = map[string]string{tierLabel: "cold"} },
		},
		{
			claim: detached, component: "database", iops: 0, pools: []string{"nvme-4", "nvme-5"},
			shape: func(v *simulator.Volume) { v.Target = "" },
		},
		{
			claim: crowded, component: "database", iops: 11000, pools: []string{"sata-1", "sata-2", "sata-3"},
			shape: func(v *simulator.Volume) { v.AllowedNodes = []string{nodeName(1), nodeName(2), nodeName(3)} },
		},
		{claim: turning, component: "cache", iops: 5, pools: []string{"nvme-5"}},
		{claim: killed, component: "cache", iops: 18000, pools: []string{"sata-4"}, written: 960 * mib},
		{claim: later, component: "cache", iops: 40, pools: []string{"sata-2", "sata-3"}},
		{claim: warming, component: "logs", iops: 3000, pools: []string{"sata-1", "sata-4"}},
		{claim: cooling, component: "logs", iops: 3, pools: []string{"ssd-2"}},
	}
}

// crowd are the volumes that are where they belong: most of a real cluster.
func crowd() []*volume {
	var all []*volume
	add := func(claim, component string, count int, pool string, iops float64) {
		for i := range count {
			home := len(all)%nodes + 1
			all = append(all, &volume{
				claim: fmt.Sprintf("%s-%d", claim, i), component: component, iops: iops + float64(17*i),
				pools: []string{fmt.Sprintf("%s-%d", pool, home), fmt.Sprintf("%s-%d", pool, home%nodes+1)},
			})
		}
	}
	add("orders/shard", "database", 8, "nvme", 7000)
	add("payments/audit", "database", 8, "sata", 60)
	add("orders/replica", "database", 3, "nvme", 1500)
	add("sessions/hot-cache", "cache", 6, "nvme", 9000)
	add("sessions/page-cache", "cache", 6, "sata", 200)
	add("search/today", "logs", 4, "nvme", 12000)
	add("search/this-week", "logs", 6, "ssd", 2500)
	add("search/archive", "logs", 6, "sata", 10)
	return all
}

// cast gives every volume its uuid and enters it into the cluster.
func cast(s *simulator.Simulator) []*volume {
	all := append(leads(), crowd()...)
	for i, v := range all {
		// Readable in tables: the first eight digits tell volumes apart.
		v.uuid = fmt.Sprintf("%08x-0000-4000-8000-%012x", 0x5a000000+uint32(i+1)*0x010203, i+1)
		if v.written == 0 {
			v.written = usual
		}
		o := simulator.Volume{
			UUID: v.uuid, Size: gib, Allocated: v.written, Pools: v.pools,
			Target: nodeOfPool(v.pools[0]),
			Load:   load(v.iops),
		}
		if v.shape != nil {
			v.shape(&o)
		}
		s.AddVolume(o)
	}
	return all
}

// load splits IOPS into seven reads of ten.
func load(iops float64) simulator.Load {
	return simulator.Load{ReadIOPS: 0.7 * iops, WriteIOPS: 0.3 * iops, BytesPerOp: 4096}
}

// nodeOfPool relies on the names of newCluster.
func nodeOfPool(pool string) string {
	_, number, _ := strings.Cut(pool, "-")
	return "node-" + number
}

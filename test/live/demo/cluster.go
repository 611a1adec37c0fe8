package main

import (
	"fmt"
	"time"

	"github.com/billyronks/couchestor/test/simulator"
)

// The cluster: five storage nodes, each with one pool of every tier.
const (
	nodes = 5

	mib = int64(1) << 20
	gib = int64(1) << 30

	// rebuildRate is slow enough for a rebuild to be watched.
	rebuildRate = 160 * mib
	// cachePeriod is how old Mayastor's view of a rebuild may be.
	cachePeriod = 500 * time.Millisecond

	// tierLabel is the pool label that the policies select by.
	tierLabel = "storage-tier"
)

// tiers and the pools that make them.
var tiers = []struct {
	name, pool string
	latency    time.Duration
}{
	{"hot", "nvme", 100 * time.Microsecond},
	{"warm", "ssd", 500 * time.Microsecond},
	{"cold", "sata", 5 * time.Millisecond},
}

// newCluster makes the simulated Mayastor, without volumes.
func newCluster() *simulator.Simulator {
	s := simulator.New(simulator.Config{
		Profile: simulator.V2_10, CachePeriod: cachePeriod, RebuildRate: rebuildRate,
		SelfHealBusy: 2 * time.Second, SelfHealIdle: 5 * time.Second, Latency: 50 * time.Millisecond, Seed: 1,
	})
	for n := 1; n <= nodes; n++ {
		node := nodeName(n)
		s.AddNode(simulator.Node{ID: node})
		for _, tier := range tiers {
			s.AddPool(simulator.Pool{
				ID: fmt.Sprintf("%s-%d", tier.pool, n), Node: node, Latency: tier.latency,
				Labels: map[string]string{tierLabel: tier.name},
			})
		}
	}
	return s
}

func nodeName(n int) string { return fmt.Sprintf("node-%d", n) }

// tierOf says on which tier all of the pools are: its name, or mixed.
func tierOf(pools []string) string {
	found := ""
	for _, pool := range pools {
		tier := tierOfPool(pool)
		if found != "" && found != tier {
			return "mixed"
		}
		found = tier
	}
	return found
}

func tierOfPool(pool string) string {
	for _, tier := range tiers {
		for n := 1; n <= nodes; n++ {
			if pool == fmt.Sprintf("%s-%d", tier.pool, n) {
				return tier.name
			}
		}
	}
	return "none"
}

// poolsOf returns the pools of the replicas that are there, in order.
func poolsOf(truth []simulator.ReplicaTruth) []string {
	pools := make([]string, len(truth))
	for i, r := range truth {
		pools[i] = r.Pool
	}
	return pools
}

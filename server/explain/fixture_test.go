package explain

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/billyronks/couchestor/tiering"
)

const gib = int64(1) << 30

func noon() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

func policy(t testing.TB, name string) tiering.Policy {
	t.Helper()
	tier := func(name string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"tier": name}}
	}
	p, faults := tiering.Compile(name, 3, noon().Add(-1000*time.Hour), tiering.StoragePolicySpec{HotPoolSelector: tier("hot"), ColdPoolSelector: tier("cold"), MaxConcurrentMigrations: new(int64(4))})
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return p
}

func sample(iops, coverage float64) tiering.Sample {
	s, err := tiering.NewSample(iops, coverage)
	if err != nil {
		panic(err)
	}
	return s
}

func volume(claim, pool string, iops float64, edits ...func(*tiering.Volume)) *tiering.Volume {
	v := &tiering.Volume{
		Name: "pvc-" + claim, UUID: "uuid-" + claim, ClaimNamespace: "shop", ClaimName: claim, StorageClass: "mayastor",
		Listed: true, SizeBytes: 10 * gib, AllocatedBytes: 4 * gib, Thin: true,
		Replicas: []tiering.Replica{{UUID: "r1", Pool: pool, Node: nodeOf(pool)}},
		Sample:   sample(iops, 100),
	}
	for _, edit := range edits {
		edit(v)
	}
	return v
}

func nodeOf(pool string) string { return "node-" + pool[strings.LastIndex(pool, "-")+1:] }

// town is a cluster in which each kind of decision is taken once.
func town(t *testing.T, now time.Time) tiering.Input {
	t.Helper()
	w := &tiering.World{
		Metrics:      tiering.Source{OK: true, Message: "Prometheus answers."},
		ScoresReadAt: now.Add(-5 * time.Second),
		Mayastor:     tiering.Source{OK: true, Message: "Mayastor answers."},
		ReadAt:       now.Add(-10 * time.Second),
		Steering:     "the server's API has the pool cordon, so it is Mayastor 2.10 or newer",
	}
	for i := 1; i <= 3; i++ {
		w.Nodes = append(w.Nodes, tiering.Node{Name: fmt.Sprintf("node-%d", i), Online: true})
		for _, tier := range []string{"cold", "hot"} {
			w.Pools = append(w.Pools, tiering.Pool{
				Name: fmt.Sprintf("%s-%d", tier, i), Node: fmt.Sprintf("node-%d", i), Labels: labels.Set{"tier": tier},
				Online: true, CapacityBytes: 100 * gib, UsedBytes: int64(10*i) * gib,
			})
		}
	}
	slices.SortFunc(w.Pools, func(a, b tiering.Pool) int { return strings.Compare(a.Name, b.Name) })
	w.Pools = append(w.Pools, tiering.Pool{Name: "torn", Node: "node-9", Conflict: "label tier is \"hot\" in Mayastor and \"cold\" on the DiskPool object"})
	return tiering.Input{
		Now: now, Policy: policy(t, "db"), World: w,
		Volumes: []*tiering.Volume{
			volume("busy", "cold-1", 6120.5),
			volume("idle", "hot-2", 3, func(v *tiering.Volume) { v.Thin = false }),
			volume("cooling", "cold-2", 9000, func(v *tiering.Volume) {
				v.Memory = &tiering.Memory{LastMigration: now.Add(-time.Hour), LastN: 2, Attempt: tiering.Attempt{N: 2, State: tiering.AttemptMoved, Policy: "db", To: "cold", At: now.Add(-time.Hour)}}
			}),
			volume("detached", "hot-1", 0, func(v *tiering.Volume) {
				v.Sample = tiering.Sample{}
				v.Unpublished = "it is not published, so nobody can prove what a new replica holds"
			}),
			volume("quiet", "hot-3", 4000),
			volume("running", "cold-3", 8000, func(v *tiering.Volume) {
				v.Live = &tiering.LiveJob{Name: "couchestor-uuid-running-1", Policy: "db", From: tiering.Cold, To: tiering.Hot, TargetPools: []string{"hot-1"}, Started: now.Add(-90 * time.Second)}
			}),
			volume("torn", "cold-1", 6000, func(v *tiering.Volume) {
				v.Memory = &tiering.Memory{Attempt: tiering.Attempt{N: 4, State: tiering.AttemptStarted, Policy: "db", At: now.Add(-time.Hour)}}
			}),
		},
		Limits: tiering.Limits{MaxConcurrentMigrations: 4, RebuildBytesPerSecond: 100 << 20},
		Route: func(v *tiering.Volume, to tiering.Tier, pools []string) tiering.Route {
			r := tiering.Route{Replicas: 1}
			for _, p := range pools {
				if nodeOf(p) != v.Replicas[0].Node {
					r.Landing = append(r.Landing, p)
				}
			}
			return r
		},
		Candidates: func(v *tiering.Volume, pools []string) func() []tiering.Candidate {
			node := v.Replicas[0].Node
			return func() []tiering.Candidate {
				var all []tiering.Candidate
				for _, p := range pools {
					c := tiering.Candidate{Pool: p, Node: nodeOf(p)}
					if c.Node == node {
						c.Reject, c.Reason = "is on node "+node+", which holds a replica of the volume already", "NoFreeNode"
					}
					all = append(all, c)
				}
				return all
			}
		},
	}
}

// past is the status before, with two moves of one volume.
func past(now time.Time) tiering.StoragePolicyStatus {
	at := func(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }
	return tiering.StoragePolicyStatus{Phase: tiering.PhaseActive, MigrationHistory: []tiering.HistoryEntry{
		{JobName: "j2", VolumeName: "pvc-cooling", Timestamp: at(time.Hour), FromTier: "hot", ToTier: "cold", FromPool: "hot-1", ToPool: "cold-2", TriggerIOPS: 12, Duration: "3m0s", Outcome: tiering.OutcomeMoved, Success: true},
		{JobName: "j1", VolumeName: "pvc-cooling", Timestamp: at(50 * time.Hour), FromTier: "hot", ToTier: "cold", TriggerIOPS: 9.5, Outcome: tiering.OutcomeFailed, Error: "the rebuild made no progress for 5m0s; it was undone"},
	}}
}

func townPlan(t *testing.T, now time.Time) (*tiering.Plan, *tiering.StoragePolicyStatus) {
	t.Helper()
	p := tiering.Decide(town(t, now))
	s := p.Status(past(now))
	return p, &s
}

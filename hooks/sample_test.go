package hooks

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/golden"
)

// sampleRequest is where the request lies that the README sends with curl.
const sampleRequest = "../test/testdata/sync-request.json"

// sample is the world of that request: a policy for databases and six volumes,
// of which 1 is busy on cold, 2 idle on hot, 3 in between, 4 is being moved, 5
// has moved lately, and 6 belongs to no pod.
func sample(t testing.TB) *rig {
	t.Helper()
	r := newRig(t)
	r.policy.at("spec")["volumeSelector"] = object{"matchLabels": object{"app": "db"}}
	r.policy.at("spec")["maxConcurrentMigrations"] = 3
	r.policy.at("metadata")["finalizers"] = []any{"metacontroller.io/compositecontroller-storagepolicy"}
	r.policy["status"] = object{
		"observedGeneration": 3, "phase": "Active", "watchedVolumes": 6, "totalMigrations": 1, "failedMigrations": 0,
		"migrationHistory": []any{object{
			"jobName": nameJob(uuid(5), 1), "jobUID": "job-5-1", "volumeName": "pvc-" + uuid(5), "claim": "shop/data-5",
			"timestamp": stamp(noon.Add(-time.Hour)), "fromTier": "cold", "toTier": "hot", "fromPool": "cold-1", "toPool": "hot-2",
			"triggerIOPS": 7410, "duration": "12m0s", "outcome": "moved", "success": true,
		}},
	}
	scores := map[int]float64{1: busy, 2: idle, 3: middle, 4: 8300, 5: 7100}
	places := map[int][]string{1: {"cold-1", "cold-2"}, 2: {"hot-1", "hot-3"}, 3: {"cold-2", "cold-3"}, 4: {"cold-3", "hot-4"}, 5: {"hot-1", "hot-2"}, 6: {"cold-1", "cold-4"}}
	for i := 1; i <= 6; i++ {
		v := r.volume(i)
		v.at("metadata")["managedFields"] = managedFields()
		r.place(i, places[i]...)
		if iops, ok := scores[i]; ok {
			r.score(i, iops)
		}
	}
	inv := r.mayastor.Inventory
	at := slices.IndexFunc(inv.Volumes, func(v mayastor.Packed) bool { return v.UUID() == uuid(6) })
	last := inv.Volumes[at].Volume()
	last.Spec.Target, last.State.Target = nil, nil
	inv.Volumes[at] = mayastor.Pack(last)[0]
	j := r.run(4, 2)
	j.at("metadata", "annotations")[ScoreAnnotation] = "8300.0"
	started := attempt(2, mayastor.Started, noon.Add(-9*time.Minute))
	r.remember(4, started)
	done := attempt(1, mayastor.Moved, noon.Add(-time.Hour))
	r.remember(5, done)
	r.volumes["pvc-"+uuid(5)].at("metadata", "annotations")[mayastor.LastMigrationAnnotation] = stamp(noon.Add(-time.Hour))
	return r
}

func indented(t testing.TB, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(bytes.TrimSpace(out.Bytes()), '\n')
}

func TestSampleRequestIsAnsweredWithJobsAndStatus(t *testing.T) {
	r := sample(t)
	body := indented(t, []byte(text(r.tree())))
	golden.Check(t, sampleRequest, body)
	a := r.post(t, "sync", body)
	golden.Check(t, "testdata/sync-answer.json", indented(t, a.body))
	wantNames(t, "the busy and the idle volume move, the running Job stays", a,
		nameJob(uuid(1), 1)+"+", nameJob(uuid(2), 1)+"+", nameJob(uuid(4), 2))
}

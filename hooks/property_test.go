package hooks

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// fate is how a random Job stands, as an oracle knows it without reading it.
type fate struct {
	key, name string
	volume    int
	n         int64
	child     bool
	// result and over are true if a result can be read, and if the Job ended.
	result, over bool
}

// randomWorld breaks a rig at random and returns its Jobs.
func randomWorld(rt *rapid.T, r *rig) []fate {
	maybe := func(name string) bool { return rapid.Bool().Draw(rt, name) }
	state := func() mayastor.State {
		return rapid.SampledFrom([]mayastor.State{mayastor.Started, mayastor.Moved, mayastor.Failed, mayastor.Refused, mayastor.Aborted, "odd"}).Draw(rt, "state")
	}
	ago := func() time.Time {
		return noon.Add(-time.Duration(rapid.IntRange(0, 200).Draw(rt, "hours")) * time.Hour)
	}
	specs := []object{
		{},
		{"enabled": false},
		{"dryRun": true},
		{"minCoverage": 1},
		{"highWatermarkIOPS": "many"},
		{"storageClassName": "none"},
		{"volumeSelector": object{"matchLabels": object{"app": "db"}}},
		{"maxConcurrentMigrations": 25},
		{"priority": 7},
		{"approval": "Manual"},
		{"pausePromotions": true, "pauseDemotions": true},
		{"maintenanceWindows": []any{object{"start": "01:00", "end": "02:00"}}},
	}
	maps.Copy(r.policy.at("spec"), rapid.SampledFrom(specs).Draw(rt, "spec"))
	r.finalizing = maybe("finalizing")
	switch rapid.IntRange(0, 4).Draw(rt, "sources") {
	case 0:
		r.mayastor = Mayastor{}
	case 1:
		r.scores = tiering.Scores{}
	case 2:
		r.mayastor.Source = tiering.Source{Reason: "Unreachable"}
	}
	if maybe("rival") {
		p := newPolicy("rival", "rival-uid")
		p.at("spec")["priority"] = rapid.IntRange(-9, 9).Draw(rt, "priority")
		r.policies["rival"] = p
	}

	var jobs []fate
	for i := 1; i <= rapid.IntRange(0, 5).Draw(rt, "volumes"); i++ {
		r.volume(i)
		if r.mayastor.Inventory != nil && maybe("placed") {
			r.place(i, rapid.SampledFrom([]string{"hot-1", "cold-1"}).Draw(rt, "pool"), rapid.SampledFrom([]string{"hot-2", "cold-2"}).Draw(rt, "pool"))
		}
		if r.scores.Samples != nil && maybe("scored") {
			r.score(i, rapid.SampledFrom([]float64{idle, middle, busy}).Draw(rt, "score"))
		}
		if maybe("remembers") {
			a := attempt(int64(rapid.IntRange(0, 6).Draw(rt, "n")), state(), ago())
			a.Policy = rapid.SampledFrom([]string{"db", "rival", "gone", ""}).Draw(rt, "policy")
			r.remember(i, a)
		}
		for n := int64(1); n <= 6; n++ {
			if rapid.IntRange(0, 3).Draw(rt, "job") > 0 {
				continue
			}
			f := fate{name: nameJob(uuid(i), n), volume: i, n: n, child: maybe("child")}
			f.key = "couchestor-system/" + f.name
			j := newJob(i, n, "db", policyUID)
			if !f.child {
				j = newJob(i, n, rapid.SampledFrom([]string{"db", "rival"}).Draw(rt, "owner"), "another-uid")
			}
			at := ago()
			switch rapid.IntRange(0, 3).Draw(rt, "result") {
			case 0:
				s := state()
				result := resultOf(n, s, "Reason")
				result.Ended = at
				report(j, result)
				f.result = s != mayastor.Started && s != "odd"
			case 1:
				j.at("metadata", "annotations")[mayastor.ResultAnnotation] = rapid.String().Draw(rt, "garbage")
			}
			if maybe("over") {
				ended(j, rapid.SampledFrom([]string{"Complete", "Failed"}).Draw(rt, "end"), "Reason", at)
				f.over = true
			}
			if maybe("deleting") {
				j.at("metadata")["deletionTimestamp"] = stamp(noon)
			}
			if f.child {
				r.children[f.key] = j
			}
			if !f.child || maybe("related") {
				r.jobs[f.key] = j
			}
			jobs = append(jobs, f)
		}
		if maybe("volume gone") {
			delete(r.volumes, "pvc-"+uuid(i))
		}
	}
	if maybe("status") {
		var history []any
		seen := map[string]bool{}
		for range rapid.IntRange(0, 60).Draw(rt, "entries") {
			name := nameJob(uuid(rapid.IntRange(1, 9).Draw(rt, "volume")), int64(rapid.IntRange(1, 9).Draw(rt, "n")))
			if !seen[name] && len(history) < historyEntries {
				seen[name] = true
				history = append(history, object{
					"jobName": name, "volumeName": "v", "timestamp": stamp(ago()), "triggerIOPS": 1, "success": false,
					"outcome": rapid.SampledFrom([]string{"moved", "failed", "refused", "aborted", "recovered"}).Draw(rt, "outcome"),
				})
			}
		}
		r.policy["status"] = object{
			"migrationHistory": history, "totalMigrations": 70, "failedMigrations": 20, "later": "kept",
			"governance": object{"policyUID": policyUID, "acceptedDigest": "v1:before", "acceptedSelection": "v1:before"},
		}
	}
	return jobs
}

// randomGovernance is what operators may have decided, or have failed to say. A
// dry run, where there is one, is not over at the first look.
func randomGovernance(rt *rapid.T) *tiering.Governed {
	data := rapid.SampledFrom([]map[string]string{
		{},
		{"emergencyStop": "true"},
		{"freeze.until": stamp(noon.Add(time.Hour)), "freeze.reason": "why"},
		{"limit.moves": "1"},
		{"minCoverage.max": "60"},
		{"maintenanceWindow.deny.now": "daily 11:00-13:00"},
		{"limit.moves": "none", "emergencyStop": "true"},
		nil,
	}).Draw(rt, "governance")
	if data == nil {
		return nil
	}
	g, faults := tiering.ParseGovernance(data)
	tiering.ResolveZones(g.Windows, time.LoadLocation)
	return &tiering.Governed{Governance: g, Known: len(faults) == 0, Source: tiering.Source{OK: len(faults) == 0}}
}

func TestAnyBrokenWorldKeepsItsJobsAndItsMemory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		governed := randomGovernance(rt)
		r := newRig(t, func(c *Config) { c.Governance = func() *tiering.Governed { return governed } })
		clear(r.volumes)
		clear(r.claims)
		jobs := randomWorld(rt, r)
		body := r.body()
		a := r.post(t, "sync", body)
		if a.code != http.StatusOK {
			rt.Fatalf("got %d: %s", a.code, a.body)
		}
		if again := r.post(t, "sync", body); !bytes.Equal(a.body, again.body) {
			rt.Fatalf("twice the same request, first\n%s\nthen\n%s", a.body, again.body)
		}
		checkChildren(rt, r, a, jobs)
		checkMemory(rt, r, a)
	})
}

func checkChildren(rt *rapid.T, r *rig, a reply, jobs []fate) {
	before := statusOf(rt, r)
	recorded := map[string]bool{}
	for _, e := range before.MigrationHistory {
		recorded[e.JobName] = true
	}
	full := len(before.MigrationHistory) >= historyEntries

	stubs, created, exists := map[string]bool{}, map[string]string{}, map[string]bool{}
	for _, j := range a.Children {
		key := j.Namespace + "/" + j.Name
		if len(j.Spec.Template.Spec.Containers) == 0 {
			stubs[key] = true
			continue
		}
		if other, ok := created[j.Labels[VolumeLabel]]; ok {
			rt.Errorf("two Jobs for one volume: %s and %s", other, j.Name)
		}
		created[j.Labels[VolumeLabel]] = j.Name
	}
	anyLive := false
	for _, f := range jobs {
		exists[f.name] = true
		live := !f.result && !f.over
		anyLive = anyLive || f.child && live
		if live && created[uuid(f.volume)] != "" {
			rt.Errorf("%s is created while %s is live", created[uuid(f.volume)], f.name)
		}
		closing := r.finalizing && len(a.Children) == 0
		switch {
		case !f.child && stubs[f.key]:
			rt.Errorf("%s is no child, and is listed: it would be created anew", f.name)
		case f.child && live && !stubs[f.key]:
			rt.Errorf("live Job %s is not in the answer %v", f.name, a.names())
		case f.child && !f.over && !stubs[f.key] && !closing:
			rt.Errorf("Job %s, whose pod may still end, is not in the answer %v", f.name, a.names())
		case f.child && !recorded[f.name] && !full && !stubs[f.key] && !closing:
			rt.Errorf("Job %s is dropped before its result was seen to be recorded", f.name)
		}
	}
	for volume, name := range created {
		if exists[name] {
			rt.Errorf("%s is created for volume %s, and exists", name, volume)
		}
	}
	finalized := a.Finalized != nil && *a.Finalized
	if finalized && (!r.finalizing || len(r.children) > 0 || len(a.Children) > 0) {
		rt.Errorf("got finalized with finalizing %v, observed %d and desired %d children", r.finalizing, len(r.children), len(a.Children))
	}
	if anyLive && len(a.Children) == 0 {
		rt.Errorf("a live Job, and no children")
	}
}

func checkMemory(rt *rapid.T, r *rig, a reply) {
	before := statusOf(rt, r)
	after := map[string]int{}
	for _, e := range a.Status.MigrationHistory {
		after[e.JobName]++
	}
	if len(a.Status.MigrationHistory) < len(before.MigrationHistory) || len(a.Status.MigrationHistory) > historyEntries {
		rt.Errorf("the history had %d entries and has %d", len(before.MigrationHistory), len(a.Status.MigrationHistory))
	}
	for name, n := range after {
		if n > 1 {
			rt.Errorf("%s is recorded %d times", name, n)
		}
	}
	for _, e := range before.MigrationHistory {
		if after[e.JobName] == 0 && len(a.Status.MigrationHistory) < historyEntries {
			rt.Errorf("%s left a history that has room", e.JobName)
		}
	}
	if a.Status.TotalMigrations < before.TotalMigrations || a.Status.FailedMigrations < before.FailedMigrations {
		rt.Errorf("a counter went back: total %d to %d, failed %d to %d", before.TotalMigrations, a.Status.TotalMigrations, before.FailedMigrations, a.Status.FailedMigrations)
	}
	if g := a.Status.Governance; r.policy["status"] != nil && (g == nil || g.PolicyUID != policyUID || g.AcceptedDigest != "v1:before") {
		rt.Errorf("the memory of the dry run became %+v", g)
	}
	if r.policy["status"] != nil && !strings.Contains(string(a.raw), `"later":"kept"`) {
		rt.Errorf("what a later release remembers is lost in %s", a.raw)
	}
}

func statusOf(rt *rapid.T, r *rig) (s tiering.StoragePolicyStatus) {
	if err := json.Unmarshal([]byte(text(r.policy["status"])), &s); err != nil {
		rt.Fatal(err)
	}
	return s
}

// TestEveryResultIsRecordedOnce plays random results into the Jobs of a policy,
// shows the hook statuses and children of any age, and counts.
func TestEveryResultIsRecordedOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		clear(r.volumes)
		clear(r.claims)
		statuses := []json.RawMessage{json.RawMessage(`{}`)}
		written := 0
		moves, failures := 0, 0
		gone := map[string]bool{}
		for step := range rapid.IntRange(1, 16).Draw(rt, "steps") {
			r.now = r.now.Add(time.Minute)
			for range rapid.IntRange(0, 4).Draw(rt, "results") {
				i := 1 + step*10 + len(r.children)%10
				for r.volumes["pvc-"+uuid(i)] != nil {
					i++
				}
				r.volume(i)
				j := r.run(i, 1)
				result := moved(1)
				result.State = rapid.SampledFrom([]mayastor.State{mayastor.Moved, mayastor.Failed}).Draw(rt, "state")
				result.Ended = r.now.Add(-time.Duration(rapid.IntRange(0, 50).Draw(rt, "seconds")) * time.Second)
				report(j, result)
				r.remember(i, attempt(1, result.State, result.Ended))
				ended(j, "Complete", "Done", result.Ended)
				if result.State == mayastor.Moved {
					moves++
				} else {
					failures++
				}
			}
			// The status in the request may be an older one, but a cache never
			// goes back.
			seen := rapid.IntRange(written, len(statuses)-1).Draw(rt, "seen")
			written = seen
			r.status(statuses[seen])
			a := r.sync(t)
			if seen == len(statuses)-1 {
				statuses = append(statuses, a.raw)
			} else {
				// Metacontroller writes what it was told over what is there.
				statuses = append(statuses, a.raw)
			}
			listed := map[string]bool{}
			for _, j := range a.Children {
				listed["couchestor-system/"+j.Name] = true
			}
			for key := range r.children {
				if !listed[key] && !gone[key] {
					gone[key] = true
					delete(r.children, key)
					if rapid.Bool().Draw(rt, "related gone too") {
						delete(r.jobs, key)
					}
				}
			}
		}
		// Everything settles.
		for range 3 {
			r.status(statuses[len(statuses)-1])
			a := r.sync(t)
			statuses = append(statuses, a.raw)
		}
		if got, want := r.last.Status.TotalMigrations, int64(moves+failures); got != want {
			rt.Errorf("got %d results counted, want %d", got, want)
		}
		if got, want := r.last.Status.FailedMigrations, int64(failures); got != want {
			rt.Errorf("got %d failures counted, want %d", got, want)
		}
		if got, want := len(r.last.Status.MigrationHistory), min(moves+failures, historyEntries); got != want {
			rt.Errorf("got %d entries, want %d", got, want)
		}
	})
}

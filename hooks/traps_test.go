package hooks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// The traps that others fell into, by their numbers in the report on peers
// (section 11), as far as they concern the hooks.

func TestTrap01_FieldNamesAreCaseExact(t *testing.T) {
	for field, moves := range map[string]bool{"highWatermarkIOPS": true, "highWatermarkIops": false, "highwatermarkiops": false} {
		r := newRig(t)
		r.score(1, middle)
		r.policy.at("spec")[field] = 1000
		a := r.sync(t)
		if got := len(a.Children) == 1; got != moves {
			t.Errorf("%s: 1000: got moves %v, want %v", field, got, moves)
		}
	}
}

func TestTrap02_EachSpecFieldChangesSomeOutput(t *testing.T) {
	scene := func() *rig {
		r := newRig(t)
		// 2 moves up, 3 and 4 down, 4 was moved two hours ago.
		for i, iops := range map[int]float64{2: middle, 3: idle, 4: idle} {
			r.volume(i)
			r.place(i, "hot-1", "hot-2")
			r.score(i, iops)
		}
		r.volumes["pvc-"+uuid(4)].at("metadata", "annotations")[mayastor.LastMigrationAnnotation] = stamp(noon.Add(-2 * time.Hour))
		sample, err := tiering.NewSample(idle, 85)
		if err != nil {
			t.Fatal(err)
		}
		r.scores.Samples["pvc-"+uuid(3)] = sample
		rival := newPolicy("rival", "rival-uid")
		rival.at("spec")["volumeSelector"] = object{"matchLabels": object{"app": "db"}}
		rival.at("spec")["priority"] = -5
		r.policies["rival"] = rival
		return r
	}
	before := string(scene().sync(t).body)
	mutations := map[string]any{
		"enabled": false, "dryRun": true, "pausePromotions": true, "pauseDemotions": true,
		"approval":           "Manual",
		"maintenanceWindows": []any{object{"start": "01:00", "end": "02:00"}}, "storageClassName": "another",
		"volumeSelector":  object{"matchLabels": object{"app": "other"}},
		"claimNamespaces": []any{"elsewhere"}, "highWatermarkIOPS": 10000, "lowWatermarkIOPS": 5,
		"warmWatermarkIOPS": 1000, "hotPoolSelector": object{"matchLabels": object{"tier": "none"}},
		"warmPoolSelector": object{"matchLabels": object{"tier": "warm"}}, "coldPoolSelector": object{"matchLabels": object{"tier": "none"}},
		"nvmePoolSelector": object{"matchLabels": object{"tier": "none"}}, "sataPoolSelector": object{"matchLabels": object{"tier": "none"}},
		"samplingWindow": "2h", "minCoverage": 90, "cooldownPeriod": "1h", "maxConcurrentMigrations": 1,
		"migrationTimeout": "45m", "allowReducedRedundancy": true, "volumesWithSnapshots": "Move",
		"maxPoolUsedPercent": 80, "priority": -10, "ecPolicyRef": object{"name": "x"}, "ecMinVolumeSizeBytes": 5,
	}
	for field := range reflect.TypeFor[tiering.StoragePolicySpec]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		value, ok := mutations[name]
		if !ok {
			t.Errorf("spec.%s: no mutation; add one", name)
			continue
		}
		r := scene()
		r.policy.at("spec")[name] = value
		if after := string(r.sync(t).body); after == before {
			t.Errorf("spec.%s: %v changes nothing in the answer", name, value)
		}
	}
}

func TestTrap16_PolicyDeletedWithMovesRunningWaits(t *testing.T) {
	r := newRig(t)
	r.finalizing = true
	r.run(1, 1)
	a := r.sync(t)
	wantNames(t, "the move runs on", a, nameJob(uuid(1), 1))
	wantFinalized(t, a, false)
}

func TestTrap17_TwoPoliciesMatchOneVolumeOneWinsAndTheOtherSaysSo(t *testing.T) {
	r := newRig(t)
	other := newPolicy("aa", "aa-uid")
	r.policies["aa"] = other
	a := r.sync(t)
	if len(a.Children) != 0 || a.condition("VolumesContested") != "True OtherPolicyWins" {
		t.Errorf("the policy that sorts later: got %v and condition %q, want no Job and that aa wins", a.names(), a.condition("VolumesContested"))
	}
	r.policy = other
	r.policies["aa"] = other
	r.policies["db"] = newPolicy("db", policyUID)
	a = r.sync(t)
	if len(a.Children) != 1 || a.condition("VolumesContested") != "" {
		t.Errorf("the policy that sorts first: got %v and condition %q, want a Job and no rival", a.names(), a.condition("VolumesContested"))
	}
}

// breakages are ways in which the world around a running Job can be broken.
func breakages() map[string]func(*rig) {
	spec := func(key string, value any) func(*rig) {
		return func(r *rig) { r.policy.at("spec")[key] = value }
	}
	return map[string]func(*rig){
		"nothing is broken":                 func(*rig) {},
		"the spec does not decode":          spec("highWatermarkIOPS", "many"),
		"the spec is a list":                func(r *rig) { r.policy["spec"] = []any{1} },
		"the spec is null":                  func(r *rig) { r.policy["spec"] = nil },
		"the spec has faults":               spec("lowWatermarkIOPS", 9999),
		"a duration cannot be read":         spec("samplingWindow", "soon"),
		"a duration is below the floor":     spec("samplingWindow", "1s"),
		"a selector is none":                spec("volumeSelector", object{"matchExpressions": []any{object{"key": "a", "operator": "Near"}}}),
		"the policy is disabled":            spec("enabled", false),
		"the policy is in dry run":          spec("dryRun", true),
		"the policy selects nothing":        spec("storageClassName", "none"),
		"the policy is being deleted":       func(r *rig) { r.finalizing = true },
		"a broken policy is being deleted":  func(r *rig) { r.finalizing = true; r.policy.at("spec")["minCoverage"] = 1 },
		"Prometheus is down":                func(r *rig) { r.scores = tiering.Scores{Source: tiering.Source{Reason: "QueryFailed"}} },
		"Mayastor is down":                  func(r *rig) { r.mayastor.Source = tiering.Source{Reason: "Unreachable"} },
		"Mayastor was never read":           func(r *rig) { r.mayastor = Mayastor{} },
		"no source was ever read":           func(r *rig) { r.mayastor = Mayastor{}; r.scores = tiering.Scores{} },
		"Mayastor does not list the volume": func(r *rig) { next := *r.mayastor.Inventory; next.Volumes = nil; r.mayastor.Inventory = &next },
		"there are no pools and nodes": func(r *rig) {
			next := *r.mayastor.Inventory
			next.Pools, next.Nodes = nil, nil
			r.mayastor.Inventory = &next
		},
		"the volume is gone": func(r *rig) { clear(r.volumes) },
		"the claim is gone":  func(r *rig) { clear(r.claims) },
		"the volume's memory is garbage": func(r *rig) {
			r.volumes["pvc-"+uuid(1)].at("metadata", "annotations")[mayastor.AttemptAnnotation] = "{"
		},
		"the volume remembers a later one": func(r *rig) { a := attempt(99, mayastor.Moved, noon); a.Policy = "gold"; r.remember(1, a) },
		"two volumes share the handle":     func(r *rig) { r.volume(2).at("spec", "csi")["volumeHandle"] = uuid(1) },
		"the result is garbage": func(r *rig) {
			r.children["couchestor-system/"+nameJob(uuid(1), 7)].at("metadata", "annotations")[mayastor.ResultAnnotation] = "[]"
		},
		"the Job's labels are gone": func(r *rig) {
			delete(r.children["couchestor-system/"+nameJob(uuid(1), 7)].at("metadata"), "labels")
			clear(r.jobs)
		},
		"the Job is under deletion": func(r *rig) {
			r.children["couchestor-system/"+nameJob(uuid(1), 7)].at("metadata")["deletionTimestamp"] = stamp(noon)
		},
		"the Job is in no related list":     func(r *rig) { clear(r.jobs) },
		"another Job of the volume is live": func(r *rig) { r.foreign(1, 8, "gold") },
		"other policies have faults":        func(r *rig) { p := newPolicy("gold", "g"); p["spec"] = 7; r.policies["gold"] = p },
		"the policy is in no related list":  func(r *rig) { clear(r.policies) },
		"the Job succeeded, pods still end": func(r *rig) {
			r.children["couchestor-system/"+nameJob(uuid(1), 7)]["status"] = object{"conditions": []any{object{"type": "SuccessCriteriaMet", "status": "True"}}}
		},
		"the clock is years ahead":         func(r *rig) { r.now = noon.Add(10 * 365 * 24 * time.Hour) },
		"the clock is years behind":        func(r *rig) { r.now = noon.Add(-10 * 365 * 24 * time.Hour) },
		"the policy was never seen before": func(r *rig) { delete(r.policy, "status") },
		"the volume's handle is no uuid":   func(r *rig) { r.volumes["pvc-"+uuid(1)].at("spec", "csi")["volumeHandle"] = "../x" },
		"the history knows the running Job": func(r *rig) {
			r.policy["status"] = object{"migrationHistory": []any{object{"jobName": nameJob(uuid(1), 7), "volumeName": "v", "timestamp": stamp(noon), "triggerIOPS": 1, "success": true}}}
		},
		"the Job's creation is not known": func(r *rig) {
			delete(r.children["couchestor-system/"+nameJob(uuid(1), 7)].at("metadata"), "creationTimestamp")
		},
		"the related list read the Job late": func(r *rig) {
			j := newJob(1, 7, "db", policyUID)
			delete(j, "status")
			r.jobs["couchestor-system/"+nameJob(uuid(1), 7)] = j
		},
	}
}

func TestTrap18_RunningJobIsAlwaysReturnedWhateverElseFails(t *testing.T) {
	for name, breakIt := range breakages() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.Floors.SamplingWindow = time.Minute })
			r.policy["status"] = object{
				"totalMigrations": 12, "failedMigrations": 3,
				"migrationHistory": []any{object{"jobName": nameJob(uuid(9), 1), "volumeName": "pvc-9", "timestamp": stamp(noon.Add(-time.Hour)), "triggerIOPS": 3.5, "success": true, "outcome": "moved"}},
				"later":            object{"freeze": object{"since": "then"}},
			}
			r.run(1, 7)
			status := r.policy["status"]
			breakIt(r)
			a := r.sync(t)
			if !slices.Contains(a.names(), nameJob(uuid(1), 7)) {
				t.Errorf("got children %v, want the running Job among them", a.names())
			}
			for _, child := range a.names() {
				if strings.HasPrefix(child, "couchestor-"+uuid(1)) && strings.HasSuffix(child, "+") {
					t.Errorf("got a second Job %s for the volume", child)
				}
			}
			if r.finalizing {
				wantFinalized(t, a, false)
			}
			if !reflect.DeepEqual(r.policy["status"], status) {
				return // This one broke the memory itself.
			}
			if a.Status.TotalMigrations != 12 || a.Status.FailedMigrations != 3 || len(a.Status.MigrationHistory) != 1 {
				t.Errorf("got total %d, failed %d, history %v, want all of it carried over", a.Status.TotalMigrations, a.Status.FailedMigrations, a.results())
			}
			if !bytes.Contains(a.raw, []byte(`"later":{"freeze":{"since":"then"}}`)) {
				t.Errorf("got status %s, want what a later release remembers carried over", a.raw)
			}
		})
	}
}

func TestTrap19_SameInputGivesTheSameBytes(t *testing.T) {
	r := newRig(t)
	for i := 2; i < 40; i++ {
		r.volume(i)
		r.place(i, "cold-1", "cold-2")
		r.score(i, float64(i*400))
	}
	r.run(5, 1)
	report(r.run(6, 1), moved(1))
	ended(r.run(7, 2), "Failed", "DeadlineExceeded", noon)
	r.policies["gold"] = newPolicy("gold", "g")
	body := r.body()
	want := r.post(t, "sync", body).body
	for range 10 {
		if got := r.post(t, "sync", body).body; !bytes.Equal(got, want) {
			t.Fatalf("the same request is answered with\n%s\nand then with\n%s", want, got)
		}
	}
	// The order of the sender, and of Mayastor's pools and nodes, is of no account.
	next := *r.mayastor.Inventory
	next.Pools, next.Nodes = slices.Clone(next.Pools), slices.Clone(next.Nodes)
	slices.Reverse(next.Pools)
	slices.Reverse(next.Nodes)
	r.mayastor.Inventory = &next
	if got := r.post(t, "sync", reversed(t, body)).body; !bytes.Equal(got, want) {
		t.Errorf("in another order: got\n%s\nwant\n%s", got, want)
	}
	// A minute later nothing happened, and no clock shows.
	r.now = noon.Add(time.Minute)
	r.status(read1(t, want))
	first := r.sync(t)
	r.keep()
	if second := r.sync(t); !bytes.Equal(first.body, second.body) {
		t.Errorf("the answer is not its own successor: got\n%s\nwant\n%s", second.body, first.body)
	}
}

func read1(t *testing.T, body []byte) json.RawMessage {
	t.Helper()
	var a struct{ Status json.RawMessage }
	if err := json.Unmarshal(body, &a); err != nil {
		t.Fatal(err)
	}
	return a.Status
}

// reversed writes the same JSON with the members of all objects in the opposite
// order.
func reversed(t *testing.T, body []byte) []byte {
	t.Helper()
	var tree any
	if err := json.Unmarshal(body, &tree); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	var write func(any)
	write = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			keys := make([]string, 0, len(v))
			for k := range v {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			slices.Reverse(keys)
			out.WriteByte('{')
			for i, k := range keys {
				if i > 0 {
					out.WriteByte(',')
				}
				fmt.Fprintf(&out, "%s : ", text(k))
				write(v[k])
			}
			out.WriteString("}\n")
		case []any:
			out.WriteByte('[')
			for i, e := range v {
				if i > 0 {
					out.WriteByte(',')
				}
				write(e)
			}
			out.WriteByte(']')
		default:
			out.WriteString(text(v))
		}
	}
	write(tree)
	return out.Bytes()
}

func TestTrap21_HistoryKeepsFiftyAndNeverShrinksOnError(t *testing.T) {
	r := newRig(t)
	var full []any
	for i := range historyEntries {
		full = append(full, object{
			"jobName": nameJob(uuid(100+i), 1), "volumeName": "v", "timestamp": stamp(noon.Add(-time.Duration(i+1) * time.Hour)),
			"triggerIOPS": 1, "success": true, "outcome": "moved",
		})
	}
	r.policy["status"] = object{"migrationHistory": full, "totalMigrations": 400}
	// One of them has a Job still; so has one that the history dropped long ago.
	for _, i := range []int{149, 300} {
		j := r.run(i, 1)
		result := moved(1)
		result.Ended = noon.Add(-50 * time.Hour)
		if i == 300 {
			result.Ended = noon.Add(-60 * time.Hour)
		}
		report(j, result)
		ended(j, "Complete", "CompletionsReached", result.Ended)
	}
	// And a volume remembers an attempt that the history dropped in the second
	// of its oldest entry.
	r.remember(1, attempt(3, mayastor.Moved, noon.Add(-50*time.Hour+300*time.Millisecond)))
	a := r.sync(t)
	if n := len(a.Status.MigrationHistory); n != historyEntries || a.Status.TotalMigrations != 400 || *a.ResyncAfterSeconds == 2 {
		t.Errorf("got %d entries, total %d, resync %v, want 50, 400 and nothing recorded", n, a.Status.TotalMigrations, *a.ResyncAfterSeconds)
	}
	wantNames(t, "a Job whose entry is gone goes too", a, nameJob(uuid(1), 4)+"+", nameJob(uuid(149), 1))

	// A new result pushes the oldest out, and its Job with it.
	report(r.run(2, 1), moved(1))
	a = r.sync(t)
	if n := len(a.Status.MigrationHistory); n != historyEntries || a.Status.TotalMigrations != 401 || a.Status.MigrationHistory[0].JobName != nameJob(uuid(2), 1) {
		t.Errorf("got %d entries, total %d, newest %s, want 50, 401 and the new one first", n, a.Status.TotalMigrations, a.Status.MigrationHistory[0].JobName)
	}
	if slices.Contains(a.names(), nameJob(uuid(149), 1)) {
		t.Errorf("got %v, want the Job of the dropped entry omitted", a.names())
	}
	r.keep()
	if a = r.sync(t); a.Status.TotalMigrations != 401 {
		t.Errorf("got total %d with the dropped entry's Job still seen, want 401: it is not recorded again", a.Status.TotalMigrations)
	}

	r.policy.at("spec")["minCoverage"] = 1
	before := a.results()
	a = r.sync(t)
	if a.Status.Phase != tiering.PhaseError {
		t.Fatalf("got phase %s, want Error", a.Status.Phase)
	}
	if diff := cmp.Diff(before, a.results()); diff != "" {
		t.Errorf("history on error: -before +after\n%s", diff)
	}
}

func TestCachesOfDifferentAge(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(*rig)
		want    []string
		held    string
	}{
		"the volume is read before its migrator's last record": {
			func(r *rig) {
				r.remember(1, attempt(4, mayastor.Started, noon.Add(-9*time.Minute)))
				j := r.run(1, 4)
				report(j, moved(4))
				ended(j, "Complete", "CompletionsReached", noon)
				r.score(1, busy)
			},
			[]string{nameJob(uuid(1), 4)},
			"Hold cooldown",
		},
		"the volume is read before its migrator's first record": {
			func(r *rig) {
				j := r.run(1, 4)
				result := resultOf(4, mayastor.Failed, "RebuildFailed")
				result.Failures = 1
				report(j, result)
				ended(j, "Complete", "CompletionsReached", noon)
			},
			[]string{nameJob(uuid(1), 4)},
			"Hold back-off",
		},
		"the child runs still, the related Job has its result": {
			func(r *rig) {
				r.run(1, 4)
				j := newJob(1, 4, "db", policyUID)
				report(j, moved(4))
				r.jobs["couchestor-system/"+nameJob(uuid(1), 4)] = j
			},
			[]string{nameJob(uuid(1), 4)},
			"Hold cooldown",
		},
		"the Job is a child no more, the related list has it running": {
			func(r *rig) { r.run(1, 4); clear(r.children) },
			nil, "Moving",
		},
		"the child runs still, the related Job has failed": {
			func(r *rig) {
				r.run(1, 4)
				j := newJob(1, 4, "db", policyUID)
				ended(j, "Failed", "DeadlineExceeded", noon.Add(-time.Minute))
				r.jobs["couchestor-system/"+nameJob(uuid(1), 4)] = j
			},
			[]string{nameJob(uuid(1), 4)},
			"Hold back-off",
		},
		"a Job of the same name that was there before is another one": {
			func(r *rig) {
				r.run(1, 4)
				j := newJob(1, 4, "db", policyUID)
				j.at("metadata")["uid"] = "earlier"
				report(j, moved(4))
				r.jobs["couchestor-system/"+nameJob(uuid(1), 4)] = j
			},
			[]string{nameJob(uuid(1), 4)},
			"Moving",
		},
		"the result is that of another volume": {
			func(r *rig) {
				result := moved(4)
				j := r.run(1, 4)
				report(j, result)
				result.Volume = uuid(2)
				j.at("metadata", "annotations")[mayastor.ResultAnnotation] = text(result)
			},
			[]string{nameJob(uuid(1), 4)},
			"Moving",
		},
		"another policy's Job has the volume's newest result": {
			func(r *rig) {
				j := r.foreign(1, 4, "gold")
				report(j, moved(4))
				ended(j, "Complete", "CompletionsReached", noon)
			},
			nil, "Hold cooldown",
		},
		"only the history knows that attempt 4 failed": {
			func(r *rig) {
				r.policy["status"] = object{"migrationHistory": []any{object{"jobName": nameJob(uuid(1), 4), "volumeName": "v", "timestamp": stamp(noon.Add(-time.Minute)), "triggerIOPS": 1, "success": false, "outcome": "failed"}}}
			},
			nil, "Hold back-off",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c.arrange(r)
			r.sync(t)
			r.keep()
			a := r.sync(t)
			wantNames(t, "no new Job and no recovery", a, c.want...)
			if got := a.held(1); !strings.HasPrefix(got, c.held) {
				t.Errorf("got plan %q, want %q", got, c.held)
			}
		})
	}
}

func TestLiveJobOfAVolumeThatIsGoneStillCounts(t *testing.T) {
	r := newRig(t)
	r.policy.at("spec")["maxConcurrentMigrations"] = 1
	r.run(2, 1)
	a := r.sync(t)
	wantNames(t, "its place is taken", a, nameJob(uuid(2), 1))
	if a.Status.ActiveMigrations != 1 || !strings.HasPrefix(a.held(1), "Hold caps") {
		t.Errorf("got %d active, plan %q, want 1 and that caps hold the other volume", a.Status.ActiveMigrations, a.held(1))
	}
	r.policy.at("spec")["minCoverage"] = 1
	if a = r.sync(t); a.Status.ActiveMigrations != 1 {
		t.Errorf("a policy with faults: got %d active, want 1", a.Status.ActiveMigrations)
	}
}

// A volume whose attempt ended after Mayastor was last read waits for the next
// reading, which is 30 seconds after the last one by default. To ask each second
// meanwhile would bring it no sooner.
func TestAVolumeThatWaitsForAReadingIsNotAskedForEachSecond(t *testing.T) {
	r := newRig(t)
	a := attempt(3, mayastor.Moved, noon.Add(5*time.Second))
	r.remember(1, a)
	r.policy.at("spec")["cooldownPeriod"] = "1s"
	asked := 0
	for end := noon.Add(time.Minute); r.now.Before(end); asked++ {
		got := r.sync(t)
		if len(got.Children) != 0 {
			t.Fatal("it moves by a reading from before the end of its attempt")
		}
		r.status(got.raw)
		r.now = r.now.Add(time.Duration(*got.ResyncAfterSeconds) * time.Second)
	}
	if asked > 6 {
		t.Errorf("asked %d times in a minute without a reading, want at most 6", asked)
	}
	next := *r.mayastor.Inventory
	next.At = r.now
	r.mayastor.Inventory = &next
	wantNames(t, "with a reading", r.sync(t), nameJob(uuid(1), 4)+"+")
}

package hooks

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// The cases of the table in DESIGN section 4, one test each.

func TestNormal_JobIsCreatedKeptRecordedRetainedAndAtLastOmitted(t *testing.T) {
	r := newRig(t)
	first := nameJob(uuid(1), 1)
	a := r.sync(t)
	wantNames(t, "a volume that wants to move gets a whole Job", a, first+"+")

	j := r.run(1, 1)
	wantNames(t, "a running Job is kept by its name alone", r.sync(t), first)
	r.keep()

	r.remember(1, attempt(1, mayastor.Started, noon.Add(-9*time.Minute)))
	wantNames(t, "a started Job is kept", r.sync(t), first)

	// The migrator's record: the volume first, then the Job; its pod still ends.
	r.remember(1, attempt(1, mayastor.Moved, noon.Add(-time.Minute)))
	report(j, moved(1))
	r.place(1, "hot-3", "hot-4")
	a = r.sync(t)
	wantNames(t, "a Job whose result is being recorded is kept", a, first)
	if diff := cmp.Diff([]string{first + ": moved"}, a.results()); diff != "" {
		t.Errorf("history: -want +got\n%s", diff)
	}
	if *a.ResyncAfterSeconds != 2 {
		t.Errorf("got resyncAfterSeconds %v after something was recorded, want 2", *a.ResyncAfterSeconds)
	}
	e := a.Status.MigrationHistory[0]
	want := tiering.HistoryEntry{
		JobName: first, JobUID: "job-1-1", VolumeName: "pvc-" + uuid(1), Claim: "shop/data-1", Timestamp: second(noon.Add(-time.Minute)),
		FromTier: "cold", ToTier: "hot", FromPool: "cold-1,cold-2", ToPool: "hot-3,hot-4", TriggerIOPS: 6120.5, Duration: "8m0s",
		Outcome: "moved", Success: true, Trigger: "automatic",
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Errorf("entry: -want +got\n%s", diff)
	}

	ended(j, "Complete", "CompletionsReached", noon)
	wantNames(t, "an old status: the same is recorded in the same place, and the Job is kept", r.sync(t), first)
	if n := len(r.last.Status.MigrationHistory); n != 1 || r.last.Status.TotalMigrations != 1 {
		t.Errorf("got %d entries, %d in total, want 1 and 1", n, r.last.Status.TotalMigrations)
	}

	r.keep()
	a = r.sync(t)
	wantNames(t, "once the request's own status shows the result, the Job is retained for its logs", a, first)
	if n := len(a.Status.MigrationHistory); n != 1 || a.Status.TotalMigrations != 1 || *a.ResyncAfterSeconds <= 2 {
		t.Errorf("got %d entries, %d in total, resync %v, want that nothing is recorded twice", n, a.Status.TotalMigrations, *a.ResyncAfterSeconds)
	}

	r.now = noon.Add(keptFor)
	wantNames(t, "after seven days the Job is omitted", r.sync(t))
	if diff := cmp.Diff([]string{first + ": moved"}, r.last.results()); diff != "" {
		t.Errorf("history after the Job was omitted: -want +got\n%s", diff)
	}
}

func TestFailedRefusedAborted_TakeTheSamePathAndBackOffSaysWhenItOpens(t *testing.T) {
	for _, c := range []struct {
		state  mayastor.State
		reason string
		failed int64
		total  int64
	}{
		{mayastor.Failed, "RebuildFailed", 1, 1},
		{mayastor.Refused, "NotAdmitted", 0, 0},
		{mayastor.Aborted, "Stopped", 0, 1},
	} {
		t.Run(string(c.state), func(t *testing.T) {
			r := newRig(t)
			j := r.run(1, 4)
			at := attempt(4, c.state, noon.Add(-time.Minute))
			at.Reason = c.reason
			at.Failures = c.failed
			r.remember(1, at)
			result := resultOf(4, c.state, c.reason)
			result.Failures = c.failed
			report(j, result)
			ended(j, "Complete", "CompletionsReached", noon)
			a := r.sync(t)
			wantNames(t, "the Job is kept while its result is recorded, and no other starts", a, nameJob(uuid(1), 4))
			e := a.Status.MigrationHistory[0]
			if e.Outcome != string(c.state) || e.Success || e.Error != result.Error {
				t.Errorf("got entry %+v, want outcome %s and its sentence", e, c.state)
			}
			if a.Status.FailedMigrations != c.failed || a.Status.TotalMigrations != c.total {
				t.Errorf("got failed %d of %d, want %d of %d", a.Status.FailedMigrations, a.Status.TotalMigrations, c.failed, c.total)
			}
			r.keep()
			a = r.sync(t)
			if got := a.held(1); !strings.HasPrefix(got, "Hold back-off: ") || !strings.Contains(got, "opens at 2026-03-14 12:14") && !strings.Contains(got, "2026-03-14T12:14") {
				t.Errorf("got %q, want that back-off holds and opens at 12:14", got)
			}
			if *a.ResyncAfterSeconds != 300 {
				t.Errorf("got resync %v, want 300", *a.ResyncAfterSeconds)
			}
			r.now = noon.Add(13 * time.Minute)
			if a = r.sync(t); *a.ResyncAfterSeconds != 60 {
				t.Errorf("got resync %v a minute before the gate opens, want 60", *a.ResyncAfterSeconds)
			}
			r.now = noon.Add(14 * time.Minute)
			wantNames(t, "when it opened, the next attempt starts", r.sync(t), nameJob(uuid(1), 4), nameJob(uuid(1), 5)+"+")
		})
	}
}

func TestPodCrash_JobWithoutResultAndWithoutEndIsLive(t *testing.T) {
	r := newRig(t)
	j := r.run(1, 2)
	r.remember(1, attempt(2, mayastor.Started, noon.Add(-time.Hour)))
	j["status"] = object{"failed": 3, "active": 0, "conditions": []any{object{"type": "FailureTarget", "status": "True", "reason": "BackoffLimitExceeded"}}}
	a := r.sync(t)
	wantNames(t, "the next pod resumes: nothing else is started", a, nameJob(uuid(1), 2))
	if a.Status.ActiveMigrations != 1 || len(a.Status.MigrationHistory) != 0 {
		t.Errorf("got %d active, history %v, want 1 and none", a.Status.ActiveMigrations, a.results())
	}
}

func TestJobsOwnPatchFails_GoneJobsResultIsReadFromTheVolume(t *testing.T) {
	r := newRig(t)
	r.remember(1, attempt(2, mayastor.Moved, noon.Add(-time.Minute)))
	a := r.sync(t)
	want := tiering.HistoryEntry{
		JobName: nameJob(uuid(1), 2), VolumeName: "pvc-" + uuid(1), Claim: "shop/data-1", Timestamp: second(noon.Add(-time.Minute)),
		FromTier: "cold", ToTier: "hot", Outcome: "moved", Success: true, Trigger: "automatic",
	}
	if diff := cmp.Diff([]tiering.HistoryEntry{want}, a.Status.MigrationHistory); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if *a.ResyncAfterSeconds != 2 {
		t.Errorf("got resync %v, want 2", *a.ResyncAfterSeconds)
	}
	r.keep()
	if a = r.sync(t); len(a.Status.MigrationHistory) != 1 || a.Status.TotalMigrations != 1 {
		t.Errorf("got history %v, total %d, want one entry for ever", a.results(), a.Status.TotalMigrations)
	}
}

func TestJobsOwnPatchFails_JobThatIsStillThereTakesTheVolumesWord(t *testing.T) {
	r := newRig(t)
	r.remember(1, attempt(2, mayastor.Moved, noon.Add(-time.Minute)))
	ended(r.run(1, 2), "Failed", "DeadlineExceeded", noon)
	a := r.sync(t)
	if diff := cmp.Diff([]string{nameJob(uuid(1), 2) + ": moved"}, a.results()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestResultKnownFromTheVolumeAloneIsRecordedBeforeTheNextAttemptOverwritesIt(t *testing.T) {
	r := newRig(t)
	failed := attempt(2, mayastor.Failed, noon.Add(-time.Hour))
	failed.Failures = 1
	r.remember(1, failed)
	a := r.sync(t)
	wantNames(t, "nothing starts while only the volume knows of attempt 2", a)
	if *a.ResyncAfterSeconds != 2 {
		t.Errorf("got resync %v, want 2", *a.ResyncAfterSeconds)
	}
	r.keep()
	wantNames(t, "attempt 3 starts once the status shows attempt 2", r.sync(t), nameJob(uuid(1), 3)+"+")
}

func TestJobDeletedByHand_UnwoundVolumeIsRecordedAndStartedOneIsRecovered(t *testing.T) {
	t.Run("the migrator unwound on SIGTERM", func(t *testing.T) {
		r := newRig(t)
		aborted := attempt(2, mayastor.Aborted, noon.Add(-time.Minute))
		aborted.Error = "stopped by a signal"
		r.remember(1, aborted)
		a := r.sync(t)
		if diff := cmp.Diff([]string{nameJob(uuid(1), 2) + ": aborted"}, a.results()); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		wantNames(t, "back-off holds the volume", a)
	})
	t.Run("the volume stays started", func(t *testing.T) {
		r := newRig(t)
		r.remember(1, attempt(2, mayastor.Started, noon.Add(-time.Minute)))
		a := r.sync(t)
		wantNames(t, "a recovery Job with the next number puts it in order", a, nameJob(uuid(1), 3)+"+")
		args := a.Children[0].Spec.Template.Spec.Containers[0].Args
		if !contains(args, "--recover") || contains(args, "--target-pools") || a.Children[0].Labels[RecoveryLabel] != "true" {
			t.Errorf("got args %q, labels %v, want a recovery and no target", args, a.Children[0].Labels)
		}
		if len(a.Status.MigrationHistory) != 0 {
			t.Errorf("got history %v, want none: attempt 2 has no result", a.results())
		}
	})
}

func TestVolumeStartedAMomentAgoIsNotUnclean_ItsJobMayNotBeSeenYet(t *testing.T) {
	r := newRig(t)
	r.remember(1, attempt(2, mayastor.Started, noon.Add(-20*time.Second)))
	a := r.sync(t)
	wantNames(t, "no recovery yet", a)
	if *a.ResyncAfterSeconds != 41 {
		t.Errorf("got resync %v, want 41: when the minute is over", *a.ResyncAfterSeconds)
	}
	r.now = noon.Add(40 * time.Second)
	wantNames(t, "a minute after it started", r.sync(t), nameJob(uuid(1), 3)+"+")
}

func TestJobEndsWithoutAResult_IsRecordedFailedAndRecoveredIfTheVolumeIsUnclean(t *testing.T) {
	for name, c := range map[string]struct {
		memory *mayastor.Attempt
		next   string
		held   string
	}{
		"the volume says started":         {new(attempt(7, mayastor.Started, noon.Add(-time.Hour))), nameJob(uuid(1), 8) + "+", "Recover"},
		"the migrator never began":        {nil, "", "Hold back-off"},
		"the volume knows an attempt ago": {new(attempt(6, mayastor.Refused, noon.Add(-time.Hour))), "", "Hold back-off"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			if c.memory != nil {
				r.remember(1, *c.memory)
				r.policy["status"] = object{"migrationHistory": []any{object{"jobName": nameJob(uuid(1), 6), "volumeName": "pvc-" + uuid(1), "timestamp": stamp(noon.Add(-time.Hour)), "triggerIOPS": 0, "success": false, "outcome": "refused"}}}
			}
			ended(r.run(1, 7), "Failed", "BackoffLimitExceeded", noon.Add(-time.Minute))
			a := r.sync(t)
			e := a.Status.MigrationHistory[0]
			if e.JobName != nameJob(uuid(1), 7) || e.Outcome != "failed" || e.Success || !strings.Contains(e.Error, "BackoffLimitExceeded: Job has ended") || !e.Timestamp.Time.Equal(noon.Add(-time.Minute)) {
				t.Errorf("got %+v, want failed with the condition's reason at its time", e)
			}
			want := []string{nameJob(uuid(1), 7)}
			if c.next != "" {
				want = append(want, c.next)
			}
			wantNames(t, "after it ended", a, want...)
			if got := a.held(1); !strings.HasPrefix(got, c.held) {
				t.Errorf("got plan %q, want %q", got, c.held)
			}
		})
	}
}

func TestServiceRestart_Is5xxUntilEachSourceWasTriedAndStatelessThen(t *testing.T) {
	ready := false
	r := newRig(t, func(c *Config) {
		c.Ready = func() (bool, string) { return ready, "Prometheus has not been asked yet" }
	})
	r.run(1, 1)
	for _, hook := range []string{"sync", "finalize"} {
		a := r.post(t, hook, r.body())
		if a.code != http.StatusServiceUnavailable || !strings.Contains(string(a.body), "Prometheus has not been asked yet") {
			t.Errorf("%s: got %d %s, want 503 that says what is waited for", hook, a.code, a.body)
		}
	}
	ready = true
	wantNames(t, "the Job is kept", r.sync(t), nameJob(uuid(1), 1))
	again := newRig(t)
	again.scene, again.sources = r.scene, r.sources
	if got, want := string(again.post(t, "sync", r.body()).body), string(r.last.body); got != want {
		t.Errorf("another process answers\n%s\nwant\n%s", got, want)
	}
}

func TestTwoPoliciesOneVolume_TheLoserSeesTheForeignJobAndSaysWhoWins(t *testing.T) {
	r := newRig(t)
	other := newPolicy("gold", "gold-uid")
	other.at("spec")["priority"] = 10
	r.policies["gold"] = other
	a := r.sync(t)
	wantNames(t, "the loser starts nothing", a)
	if got := a.condition("VolumesContested"); got != "True OtherPolicyWins" {
		t.Errorf("got condition %q, want that gold wins", got)
	}

	delete(r.policies, "gold")
	r.foreign(1, 9, "gold")
	wantNames(t, "a live Job of any policy keeps another from starting, and is not ours to list", r.sync(t))

	j := r.foreign(1, 9, "gold")
	ended(j, "Failed", "DeadlineExceeded", noon.Add(-time.Hour))
	a = r.sync(t)
	wantNames(t, "its number is passed over", a, nameJob(uuid(1), 10)+"+")
	if len(a.Status.MigrationHistory) != 0 {
		t.Errorf("got history %v, want that foreign Jobs are not recorded", a.results())
	}
}

func TestPolicyReCreated_AdoptsNothingAndGoesOnFromTheVolume(t *testing.T) {
	r := newRig(t)
	r.policy.at("metadata")["creationTimestamp"] = stamp(noon.Add(-time.Minute))
	// What the policy of that name did before it was deleted.
	old := newJob(1, 5, "db", "an-older-uid")
	ended(old, "Complete", "CompletionsReached", noon.Add(-2*time.Hour))
	result := moved(5)
	result.Ended = noon.Add(-2 * time.Hour)
	report(old, result)
	r.jobs["couchestor-system/"+nameJob(uuid(1), 5)] = old
	r.remember(1, attempt(5, mayastor.Moved, noon.Add(-2*time.Hour)))
	r.volumes["pvc-"+uuid(1)].at("metadata", "annotations")[mayastor.LastMigrationAnnotation] = stamp(noon.Add(-2 * time.Hour))
	a := r.sync(t)
	wantNames(t, "the old Job is not adopted, and the cooldown holds the volume", a)
	if len(a.Status.MigrationHistory) != 0 {
		t.Errorf("got history %v, want none", a.results())
	}
	if got := a.held(1); !strings.HasPrefix(got, "Hold cooldown") {
		t.Errorf("got %q, want that the cooldown outlives the policy", got)
	}
	delete(r.jobs, "couchestor-system/"+nameJob(uuid(1), 5))
	if a = r.sync(t); len(a.Status.MigrationHistory) != 0 {
		t.Errorf("got history %v, want none: the attempt is older than the policy", a.results())
	}
	r.now = noon.Add(24 * time.Hour)
	wantNames(t, "the number goes on from the volume", r.sync(t), nameJob(uuid(1), 6)+"+")
}

func TestFinalize_WaitsForLiveAndUncleanVolumesThenLetsGo(t *testing.T) {
	r := newRig(t)
	r.finalizing = true
	r.policy.at("metadata")["deletionTimestamp"] = stamp(noon)
	r.volume(2)
	r.place(2, "cold-1", "cold-2")
	r.score(2, busy)
	j := r.run(1, 1)
	r.remember(1, attempt(1, mayastor.Started, noon))
	old := r.run(2, 3)
	report(old, moved(3))
	ended(old, "Complete", "CompletionsReached", noon)

	a := r.sync(t)
	wantNames(t, "running Jobs stay, and no move starts", a, nameJob(uuid(1), 1), nameJob(uuid(2), 3))
	wantFinalized(t, a, false)
	r.keep()

	ended(j, "Failed", "DeadlineExceeded", noon)
	a = r.sync(t)
	wantNames(t, "the Job of a volume started a moment ago may only not be seen yet", a, nameJob(uuid(1), 1), nameJob(uuid(2), 3))
	wantFinalized(t, a, false)
	r.now = noon.Add(uncleanFor)
	a = r.sync(t)
	wantNames(t, "an unclean volume is recovered first", a, nameJob(uuid(1), 1), nameJob(uuid(1), 2)+"+", nameJob(uuid(2), 3))
	wantFinalized(t, a, false)
	r.keep()

	recovery := r.run(1, 2)
	recovery.at("metadata", "labels")[RecoveryLabel] = "true"
	wantNames(t, "the recovery Job stays", r.sync(t), nameJob(uuid(1), 1), nameJob(uuid(1), 2), nameJob(uuid(2), 3))

	result := resultOf(2, mayastor.Aborted, "Recovered")
	result.Recovered = true
	report(recovery, result)
	r.remember(1, attempt(2, mayastor.Aborted, noon))
	wantNames(t, "a pod that reported lets go of its lock first", r.sync(t), nameJob(uuid(1), 1), nameJob(uuid(1), 2), nameJob(uuid(2), 3))
	ended(recovery, "Complete", "CompletionsReached", noon)
	a = r.sync(t)
	wantNames(t, "with nothing live and nothing unclean all Jobs go", a)
	wantFinalized(t, a, false)
	r.keep()

	clear(r.children)
	clear(r.jobs)
	a = r.sync(t)
	wantNames(t, "nothing is left", a)
	wantFinalized(t, a, true)
}

func TestFinalize_AJobSeenOnlyAmongTheRelatedOnesIsWaitedFor(t *testing.T) {
	r := newRig(t)
	r.finalizing = true
	r.run(1, 1)
	clear(r.children) // The cache of children is behind.
	wantFinalized(t, r.sync(t), false)
	// One of an earlier policy of the same name is not ours to wait for.
	r.jobs["couchestor-system/"+nameJob(uuid(1), 1)].at("metadata", "labels")[selectorLabel] = "an-older-uid"
	wantFinalized(t, r.sync(t), true)
}

func TestFinalizedIsNeverSaidOutsideFinalizing(t *testing.T) {
	r := newRig(t)
	clear(r.volumes)
	for _, hook := range []string{"sync", "finalize"} {
		if a := r.post(t, hook, r.body()); a.Finalized != nil {
			t.Errorf("%s: got finalized %v in %s, want the field left out", hook, *a.Finalized, a.body)
		}
	}
}

func TestRetention_AtMostTwentyEndedJobsAndTheNewest(t *testing.T) {
	r := newRig(t)
	clear(r.volumes)
	var want []string
	for i := 10; i < 35; i++ {
		r.volume(i)
		j := r.run(i, 1)
		result := moved(1)
		result.Ended = noon.Add(time.Duration(i-40) * time.Minute)
		report(j, result)
		ended(j, "Complete", "CompletionsReached", result.Ended)
	}
	live := nameJob(uuid(50), 1)
	r.run(50, 1)
	if a := r.sync(t); len(a.Children) != 26 {
		t.Fatalf("got %d children, want all 26 until the status shows their results", len(a.Children))
	}
	r.keep()
	for i := 15; i < 35; i++ {
		want = append(want, nameJob(uuid(i), 1))
	}
	wantNames(t, "the newest twenty, and what lives", r.sync(t), append(want, live)...)
}

func TestJobWhosePodHasNotEndedIsKeptHoweverOldItsResultIs(t *testing.T) {
	r := newRig(t)
	report(r.run(1, 1), moved(1))
	r.sync(t)
	r.keep()
	r.now = noon.Add(30 * 24 * time.Hour)
	r.score(1, middle)
	wantNames(t, "a month later", r.sync(t), nameJob(uuid(1), 1))
}

func TestChildOfAnotherNameIsKept(t *testing.T) {
	// Metacontroller adopts any ownerless Job with the policy's label (MC 3.2),
	// and would delete it if it were not listed. Nothing is deleted that is not
	// ours.
	r := newRig(t)
	j := object{"metadata": object{"name": "backup", "namespace": "shop", "uid": "b"}}
	ended(j, "Complete", "Done", noon.Add(-30*24*time.Hour))
	r.children["shop/backup"] = j
	var full []any
	for i := range historyEntries {
		full = append(full, object{"jobName": nameJob(uuid(100+i), 1), "volumeName": "v", "timestamp": stamp(noon.Add(-time.Hour)), "triggerIOPS": 1, "success": true, "outcome": "moved"})
	}
	r.policy["status"] = object{"migrationHistory": full}
	a := r.sync(t)
	wantNames(t, "the stranger stays", a, nameJob(uuid(1), 1)+"+", "backup")
	if n := len(a.Status.MigrationHistory); n != historyEntries || *a.ResyncAfterSeconds == 2 {
		t.Errorf("got %d entries, resync %v, want that nothing is recorded", n, *a.ResyncAfterSeconds)
	}
}

func wantNames(t *testing.T, rule string, a reply, want ...string) {
	t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), a.names()); diff != "" {
		t.Errorf("%s: -want +got\n%s", rule, diff)
	}
}

func wantFinalized(t *testing.T, a reply, want bool) {
	t.Helper()
	if got := a.Finalized != nil && *a.Finalized; got != want {
		t.Errorf("got finalized %v, want %v", got, want)
	}
}

func contains(args []string, flag string) bool {
	for _, a := range args {
		if a == flag || strings.HasPrefix(a, flag+"=") {
			return true
		}
	}
	return false
}

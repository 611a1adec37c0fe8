package hooks

import (
	"testing"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// cooling lets the volume cool down for an hour more, so that the plan shows a wish
// that a gate holds.
func (r *rig) cooling(i int) {
	r.volumes["pvc-"+uuid(i)].at("metadata", "annotations")[mayastor.LastMigrationAnnotation] = stamp(r.now.Add(-23 * time.Hour))
}

func TestLeadTimeBeginsWithTheWishAndEndsWithTheVerifiedMove(t *testing.T) {
	r := newRig(t)
	r.cooling(1)
	r.sync(t)
	r.keep()
	r.now = noon.Add(2 * time.Hour)
	a := r.sync(t)
	wantNames(t, "the gate is open", a, nameJob(uuid(1), 1)+"+")
	if got := a.Children[0].Annotations[WantedAnnotation]; got != stamp(noon) {
		t.Errorf("the Job says wanted since %s, want %s", got, stamp(noon))
	}
	r.keep()

	j := r.run(1, 1)
	j.at("metadata")["creationTimestamp"] = stamp(r.now)
	j.at("metadata", "annotations")[WantedAnnotation] = a.Children[0].Annotations[WantedAnnotation]
	if a = r.sync(t); len(a.Status.Plan) != 1 || !a.Status.Plan[0].WantedSince.Time.Equal(noon) {
		t.Errorf("while it moves the plan is %+v, want the wish of noon", a.Status.Plan)
	}
	result := moved(1)
	result.Started, result.Ended, result.Bytes = r.now, r.now.Add(15*time.Minute), 20<<30
	report(j, result)
	r.now = r.now.Add(16 * time.Minute)
	a = r.sync(t)
	if e := a.Status.MigrationHistory[0]; e.LeadTime != "2h15m0s" || e.Trigger != tiering.TriggerAutomatic || e.Bytes != 20<<30 {
		t.Errorf("got lead time %q, trigger %q, %d bytes, want 2h15m0s, automatic, 20 GiB", e.LeadTime, e.Trigger, e.Bytes)
	}
	want := tiering.ResultCount{
		Direction: "promotion", Outcome: "moved", Trigger: "automatic",
		Count: 1, Seconds: 15 * 60, Bytes: 20 << 30, LeadTimes: 1, LeadSeconds: 8100,
	}
	for _, when := range []string{"when it is new", "again with an old status", "once it is kept"} {
		if len(a.Status.Results) != 1 || a.Status.Results[0] != want {
			t.Errorf("%s: got %+v, want %+v", when, a.Status.Results, want)
		}
		if when == "again with an old status" {
			r.keep()
		}
		a = r.sync(t)
	}
}

func TestNoLeadTimeIsToldThatNobodyKnows(t *testing.T) {
	for _, c := range []struct {
		name, wanted string
		state        mayastor.State
	}{
		{"the Job does not say", "", mayastor.Moved},
		{"the Job says what is no time", "yesterday", mayastor.Moved},
		{"wanted after it was made", stamp(noon), mayastor.Moved},
		{"it did not move", stamp(noon.Add(-time.Hour)), mayastor.Failed},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			j := r.run(1, 1)
			j.at("metadata", "annotations")[WantedAnnotation] = c.wanted
			result := moved(1)
			result.State, result.Reason = c.state, "Stalled"
			report(j, result)
			a := r.sync(t)
			if got := a.Status.MigrationHistory[0].LeadTime; got != "" {
				t.Errorf("got %s", got)
			}
			if got := a.Status.Results[0]; got.LeadTimes != 0 || got.LeadSeconds != 0 {
				t.Errorf("counted as %+v", got)
			}
		})
	}
}

func TestAResultSaysWhyAndWhoseWishItWas(t *testing.T) {
	r := newRig(t)
	a := attempt(2, mayastor.Failed, noon.Add(-time.Minute))
	a.Reason, a.ByHand = "RebuildFailed", true
	r.remember(1, a)
	e := r.sync(t).Status.MigrationHistory[0]
	if e.Trigger != tiering.TriggerByHand || e.Reason != "RebuildFailed" {
		t.Errorf("a move by hand that named the policy: got %q because of %q, want by-hand, RebuildFailed", e.Trigger, e.Reason)
	}

	r = newRig(t)
	j := r.run(1, 1)
	ended(j, "Failed", "BackoffLimitExceeded", noon)
	e = r.sync(t).Status.MigrationHistory[0]
	if e.Trigger != tiering.TriggerAutomatic || e.Reason != "BackoffLimitExceeded" {
		t.Errorf("a Job that ended without a result: got %q because of %q, want automatic, BackoffLimitExceeded", e.Trigger, e.Reason)
	}
}

func TestAResultSaysThatItsMoveWasApproved(t *testing.T) {
	for word, want := range map[string]string{
		tiering.TriggerApproved: tiering.TriggerApproved, tiering.TriggerAutomatic: tiering.TriggerAutomatic,
		"": tiering.TriggerAutomatic, tiering.TriggerByHand: tiering.TriggerAutomatic,
	} {
		r := newRig(t)
		j := r.run(1, 1)
		j.at("metadata", "annotations")[TriggerAnnotation] = word
		report(j, moved(1))
		a := r.sync(t)
		if got := a.Status.MigrationHistory[0].Trigger; got != want || a.Status.Results[0].Trigger != want {
			t.Errorf("a Job that says %q: got %q, counted as %q, want %s", word, got, a.Status.Results[0].Trigger, want)
		}

		// The same where only the volume has the result.
		r = newRig(t)
		j = r.run(1, 1)
		j.at("metadata", "annotations")[TriggerAnnotation] = word
		ended(j, "Complete", "CompletionsReached", noon)
		r.remember(1, attempt(1, mayastor.Moved, noon.Add(-time.Minute)))
		if got := r.sync(t).Status.MigrationHistory[0].Trigger; got != want {
			t.Errorf("a Job that says %q and has no result: got %q, want %s", word, got, want)
		}
	}
}

func TestALiveJobHasTheTimeThatItsReplicasMayTake(t *testing.T) {
	var read job
	read.Name, read.Created = nameJob(uuid(1), 1), noon
	for _, c := range []struct {
		allowed string
		want    time.Time
	}{{"1h30m0s", noon.Add(90 * time.Minute)}, {"", time.Time{}}, {"soon", time.Time{}}, {"-1h", time.Time{}}} {
		read.Annotations = map[string]string{AllowedAnnotation: c.allowed}
		if got := readRun(&read, true).liveJob().Deadline; !got.Equal(c.want) {
			t.Errorf("allowed %q: got %v, want %v", c.allowed, got, c.want)
		}
	}
}

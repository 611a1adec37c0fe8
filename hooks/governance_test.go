package hooks

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones are the same on every machine

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/test/golden"
	"github.com/billyronks/couchestor/tiering"
)

// rule holds a rig's policies to a governance; the answer is what it returns
// from then on, and may be changed.
func govern(t testing.TB, c *Config, data map[string]string) **tiering.Governed {
	t.Helper()
	g, faults := tiering.ParseGovernance(data)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	now := &tiering.Governed{Governance: g, Known: true, Source: tiering.Source{OK: true}}
	c.Governance = func() *tiering.Governed { return now }
	return &now
}

// at once is a governance that asks for no dry run, with more keys.
func atOnce(more ...string) map[string]string {
	data := map[string]string{"newPolicyDryRun": "0s", "thresholdChangeDryRun": "0s"}
	for i := 0; i < len(more); i += 2 {
		data[more[i]] = more[i+1]
	}
	return data
}

// The table of actions is documentation that machines rely on: a change of it is
// a change of the interface.
func TestTheTableOfAuditActions(t *testing.T) {
	var b strings.Builder
	for _, a := range AuditActions() {
		fmt.Fprintf(&b, "%s %s %s: %s\n", a.Action, "outcome="+a.Outcome, a.Level, a.Meaning)
	}
	golden.Check(t, "testdata/audit-actions.txt", b.String())
}

func TestTheServiceHoldsPoliciesToTheGovernance(t *testing.T) {
	for _, c := range []struct {
		name  string
		data  map[string]string
		moves bool
		mode  string
	}{
		{"nothing is asked for", atOnce(), true, "Active"},
		{"a freeze", atOnce("freeze.until", stamp(noon.Add(time.Hour)), "freeze.reason", "year end"), false, "Frozen"},
		{"a stop", atOnce("emergencyStop", "true"), false, "Stopped"},
		{"a range", atOnce("cooldownPeriod.min", "25h"), false, "Rejected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(config *Config) { govern(t, config, c.data) })
			r.run(2, 1) // runs on, whatever is decided
			a := r.sync(t)
			if got := len(a.Children) == 2; got != c.moves || a.Status.Mode != c.mode {
				t.Errorf("got children %v in mode %s, want moves %v in mode %s", a.names(), a.Status.Mode, c.moves, c.mode)
			}
			if got := a.condition(tiering.ConditionGovernanceAccepted); got != "True Accepted" {
				t.Errorf("governance is %q", got)
			}
		})
	}
}

func TestTheClusterIsFrozenOnceInTheAuditTrail(t *testing.T) {
	var out bytes.Buffer
	end := noon.Add(time.Hour)
	r := newRig(t, func(c *Config) {
		govern(t, c, atOnce("freeze.until", stamp(end), "freeze.reason", "year end"))
		c.Audit = slog.New(slog.NewTextHandler(&out, nil))
	})
	wrote := func(step, want string) {
		t.Helper()
		for range 2 {
			r.sync(t)
			r.keep()
		}
		n := 0
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, "freeze_") {
				n++
				if want == "" || !strings.Contains(line, want) {
					t.Errorf("%s: got %s, want %q", step, line, want)
				}
			}
		}
		if (n == 1) != (want != "") {
			t.Errorf("%s: got %d lines, want %q", step, n, want)
		}
		out.Reset()
	}
	wrote("it begins", "action=freeze_began outcome=began until="+stamp(end)+` reason="year end"`)
	r.now = end.Add(-time.Second)
	wrote("a second before its end", "")
	r.now = end
	wrote("it ends", "action=freeze_ended")
}

// The memory of the dry run is in every answer, or the policy would be new again.
func TestTheMemoryOfTheDryRunIsInEveryAnswer(t *testing.T) {
	r := newRig(t, func(c *Config) { govern(t, c, map[string]string{}) })
	r.scores.Source.Since = noon.Add(-time.Hour)
	r.sync(t)
	r.keep()
	r.now = noon.Add(20 * time.Minute)
	before := r.sync(t).Status.Governance
	if before == nil || before.Observed != "20m" || before.PolicyUID != policyUID || !before.Counting {
		t.Fatalf("got %+v, want 20m counted", before)
	}
	r.keep()
	for name, change := range map[string]func(r *rig){
		"disabled":       func(r *rig) { r.policy.at("spec")["enabled"] = false },
		"with faults":    func(r *rig) { r.policy.at("spec")["minCoverage"] = 1 },
		"without scores": func(r *rig) { r.scores = tiering.Scores{} },
		"being deleted":  func(r *rig) { r.finalizing = true; r.run(1, 1) },
		"no governance": func(r *rig) {
			r.hooks.config.Governance = func() *tiering.Governed { return nil }
			r.twin.hooks.config.Governance = r.hooks.config.Governance
		},
		"none ever known": func(r *rig) {
			r.hooks.config.Governance = func() *tiering.Governed { return &tiering.Governed{} }
			r.twin.hooks.config.Governance = r.hooks.config.Governance
		},
	} {
		t.Run(name, func(t *testing.T) {
			again := newRig(t, func(c *Config) { govern(t, c, map[string]string{}) })
			again.now = r.now
			again.scores.Source.Since = noon.Add(-time.Hour)
			again.status(r.last.raw)
			change(again)
			got := again.sync(t).Status.Governance
			if got == nil || got.Observed != "20m" || got.PendingDigest != before.PendingDigest || got.PolicyUID != policyUID {
				t.Errorf("got %+v, want 20m counted", got)
			}
		})
	}
}

func TestANewPolicyStartsNoJobUntilItsDryRunIsOver(t *testing.T) {
	r := newRig(t, func(c *Config) { govern(t, c, map[string]string{"newPolicyDryRun": "10m"}) })
	r.scores.Source.Since = noon.Add(-time.Hour)
	step := func(name string, after time.Duration, jobs int, mode string, look float64) {
		t.Helper()
		r.now = r.now.Add(after)
		a := r.sync(t)
		if len(a.Children) != jobs || a.Status.Mode != mode || *a.ResyncAfterSeconds != look {
			t.Errorf("%s: got children %v in mode %s, next look in %gs; want %d in %s, %gs", name, a.names(), a.Status.Mode, *a.ResyncAfterSeconds, jobs, mode, look)
		}
		r.keep()
	}
	step("the first look", 0, 0, "DryRun", 300)
	step("the second", 5*time.Minute, 0, "DryRun", 300)
	step("a minute before the end", 4*time.Minute, 0, "DryRun", 60)
	step("a second before", 59*time.Second, 0, "DryRun", 1)
	step("the end", time.Second, 1, "Active", 300)
}

func TestMaintenanceWindowsAreByTheClocksOfTheirZone(t *testing.T) {
	// noon is 13:00 in Berlin and 17:30 in Kolkata.
	for _, c := range []struct {
		name, zone string
		start, end string
		jobs       int
		status     string
	}{
		{"inside", "Europe/Berlin", "12:30", "13:30", 1, "True Accepted"},
		{"outside", "Europe/Berlin", "11:30", "12:30", 0, "True Accepted"},
		{"half an hour off", "Asia/Kolkata", "17:15", "17:45", 1, "True Accepted"},
		{"a zone that is none", "Europe/Berlinn", "00:00", "24:00", 0, "False Faults"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.policy.at("spec")["maintenanceWindows"] = []any{object{"start": c.start, "end": c.end, "timeZone": c.zone}}
			a := r.sync(t)
			if len(a.Children) != c.jobs || a.condition("PolicyAccepted") != c.status {
				t.Errorf("got children %v, %s; want %d, %s", a.names(), a.condition("PolicyAccepted"), c.jobs, c.status)
			}
		})
	}
}

// The pod of a Job may have to wait for longer than its window is open.
func TestAJobKnowsUntilWhenItMayBegin(t *testing.T) {
	r := newRig(t)
	if a := r.sync(t); strings.Contains(string(a.body), "--start-by") {
		t.Error("a move that no window bounds has to begin by some time")
	}
	r = newRig(t)
	r.policy.at("spec")["maintenanceWindows"] = []any{object{"start": "11:30", "end": "12:30"}}
	if a := r.sync(t); len(a.Children) != 1 || !strings.Contains(string(a.body), `"--start-by=`+noon.Format("2006-01-02")+`T12:2`) {
		t.Errorf("the Job does not say by when it has to begin to end by 12:30: %s", a.body)
	}
}

// From the proposal to the Job: what a person does is one annotation.
func TestAnAnnotationApprovesTheMovesOfAProposal(t *testing.T) {
	var out bytes.Buffer
	r := newRig(t, func(c *Config) { c.Audit = slog.New(slog.NewTextHandler(&out, nil)) })
	r.policy.at("spec")["approval"] = "Manual"
	step := func(name string, jobs int, condition string, actions ...string) {
		t.Helper()
		out.Reset()
		for range 2 {
			a := r.sync(t)
			if len(a.Children) != jobs || a.condition(tiering.ConditionApproved) != condition {
				t.Errorf("%s: got children %v, %s; want %d, %s", name, a.names(), a.condition(tiering.ConditionApproved), jobs, condition)
			}
			r.keep()
		}
		var got []string
		for line := range strings.Lines(out.String()) {
			if _, rest, ok := strings.Cut(line, "action=approval_"); ok {
				action, _, _ := strings.Cut(rest, " ")
				got = append(got, action)
			}
		}
		if diff := cmp.Diff(actions, got); diff != "" {
			t.Errorf("%s: audit (-want +got):\n%s%s", name, diff, out.String())
		}
	}
	step("a move is proposed", 0, "False AwaitingApproval", "proposed")
	digest := r.last.Status.Proposal.Digest
	annotations := r.policy.at("metadata", "annotations")
	annotations[tiering.ApproveAnnotation] = "feedfeedfeedfeed"
	step("a digest that is none", 0, "False DigestUnknown", "not_accepted")
	annotations[tiering.ApproveAnnotation] = digest
	step("the digest", 1, "True Approved", "used")
	if got := r.last.Children[0].Annotations[TriggerAnnotation]; got != tiering.TriggerApproved {
		t.Errorf("the Job says it was set off as %q, want %s", got, tiering.TriggerApproved)
	}
	r.run(1, 1)
	step("the Job is there", 1, "False DigestUsed")
	r.now = noon.Add(25 * time.Hour)
	delete(annotations, tiering.ApproveAnnotation)
	r.volume(2)
	r.place(2, "cold-1", "cold-2")
	r.score(2, busy)
	step("another wish", 1, "False AwaitingApproval", "proposed")
	r.now = noon.Add(49 * time.Hour)
	step("nobody approved it for a day", 1, "False AwaitingApproval", "expired", "proposed")
}

package signals

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/manifests"
	"github.com/billyronks/couchestor/test/live/prometheus"
	"github.com/billyronks/couchestor/tiering"
)

const ruleFile = "components/alerts/prometheus-rule.yaml"

// rulesFile is the shipped PrometheusRule as the rules file of a Prometheus
// without the operator: its spec, as it is.
func rulesFile(t *testing.T) string {
	t.Helper()
	text, err := manifests.Files.ReadFile(ruleFile)
	must(t, err)
	var object struct {
		Spec map[string]any `json:"spec"`
	}
	must(t, yaml.Unmarshal(text, &object))
	spec, err := yaml.Marshal(object.Spec)
	must(t, err)
	file := filepath.Join(t.TempDir(), "couchestor.rules.yaml")
	must(t, os.WriteFile(file, spec, 0o600))
	return file
}

func (r *rig) rules() *prometheus.Rules {
	r.t.Helper()
	rules, err := r.monitor.LoadRules(r.t.Context(), rulesFile(r.t))
	must(r.t, err)
	return rules
}

// firing are the alerts that fire, each with the labels that tell which.
func firing(t *testing.T, rules *prometheus.Rules) []string {
	t.Helper()
	var names []string
	for _, a := range rules.Alerts() {
		if !a.Firing {
			continue
		}
		for name, text := range a.Annotations {
			if text == "" || strings.Contains(text, "<") || strings.Contains(text, "no value") {
				t.Errorf("%s: annotation %s is %q", a.Name, name, text)
			}
		}
		name := strings.TrimPrefix(a.Name, "CoucheStor")
		for _, key := range slices.Sorted(maps.Keys(a.Labels)) {
			if key != "severity" {
				name += " " + a.Labels[key]
			}
		}
		names = append(names, name)
	}
	return names
}

// calm is a world in which nothing is wrong: a busy volume is on the fast tier
// and an idle one on the slow tier.
func calm(t *testing.T, change ...func(*rig)) *rig {
	t.Helper()
	r := newRig(t, change...)
	r.volume("busy", 9000, "nvme-1", "nvme-2")
	r.volume("idle", 10, "sata-1", "sata-2")
	r.settled(true, true)
	return r
}

func TestAlerts(t *testing.T) {
	t.Parallel()
	failed := func(n int, ended time.Time) tiering.HistoryEntry {
		return tiering.HistoryEntry{
			JobName: fmt.Sprintf("j%d", n), VolumeName: "pvc-x", Outcome: tiering.OutcomeFailed, Reason: "Stalled", FromTier: "cold", ToTier: "hot",
		}
	}
	// Each case names the alert, what makes it fire, and what does not yet.
	for _, c := range []struct {
		alert string
		want  string
		fires func(*rig, *prometheus.Rules)
		quiet func(*rig, *prometheus.Rules)
	}{
		{
			"Down", "Down",
			func(r *rig, rules *prometheus.Rules) { r.serviceDown.Store(true); r.pass(20*time.Minute, rules) },
			func(r *rig, rules *prometheus.Rules) { r.serviceDown.Store(true); r.pass(8*time.Minute, rules) },
		},
		{
			"NotAsked", "NotAsked",
			func(r *rig, rules *prometheus.Rules) { r.asleep = true; r.pass(40*time.Minute, rules) },
			func(r *rig, rules *prometheus.Rules) { r.asleep = true; r.pass(20*time.Minute, rules) },
		},
		{
			"HooksFailing", "HooksFailing sync",
			func(r *rig, rules *prometheus.Rules) {
				for range 10 {
					for range 3 {
						r.ask([]byte("{")...)
					}
					r.pass(scrape, rules)
				}
			},
			func(r *rig, rules *prometheus.Rules) {
				for range 10 {
					for range 3 {
						r.ask()
					}
					r.ask([]byte("{")...)
					r.pass(scrape, rules)
				}
			},
		},
		{
			"Blind", "Blind",
			func(r *rig, rules *prometheus.Rules) {
				r.dark.Store(true)
				r.settled(false, true)
				r.pass(20*time.Minute, rules)
			},
			func(r *rig, rules *prometheus.Rules) {
				r.dark.Store(true)
				r.settled(false, true)
				r.pass(12*time.Minute, rules)
			},
		},
		{
			"ScoresMissing", "ScoresMissing db",
			func(r *rig, rules *prometheus.Rules) {
				r.volume("new-1", -1, "sata-1")
				r.volume("new-2", -1, "sata-1")
				r.volume("new-3", -1, "sata-1")
				r.pass(70*time.Minute, rules)
			},
			func(r *rig, rules *prometheus.Rules) {
				r.volume("new-1", -1, "sata-1")
				r.volume("new-2", -1, "sata-1")
				r.pass(90*time.Minute, rules)
			},
		},
		{
			"MayastorUnreachable", "MayastorUnreachable",
			func(r *rig, rules *prometheus.Rules) {
				r.mayastorDown.Store(true)
				r.settled(true, false)
				r.pass(20*time.Minute, rules)
			},
			func(r *rig, rules *prometheus.Rules) {
				r.mayastorDown.Store(true)
				r.settled(true, false)
				r.pass(8*time.Minute, rules)
				r.mayastorDown.Store(false)
				r.settled(true, true)
				r.pass(8*time.Minute, rules)
			},
		},
		{
			"MovesFailing", "MovesFailing db",
			func(r *rig, rules *prometheus.Rules) {
				for n := range 3 {
					r.record(failed(n, r.now()))
					r.pass(time.Hour, rules)
				}
			},
			func(r *rig, rules *prometheus.Rules) {
				// One every four hours, and many that were refused.
				for n := range 3 {
					refused := failed(100+n, r.now())
					refused.Outcome = tiering.OutcomeRefused
					r.record(failed(n, r.now()), refused)
					r.pass(4*time.Hour, rules)
				}
			},
		},
		{
			"MovesFailing of one volume", "MovesFailing db",
			func(r *rig, rules *prometheus.Rules) {
				r.attempts(3)
				r.pass(12*time.Minute, rules)
			},
			func(r *rig, rules *prometheus.Rules) {
				r.attempts(2)
				r.pass(12*time.Minute, rules)
			},
		},
		{
			"MoveStuck", "MoveStuck db",
			func(r *rig, rules *prometheus.Rules) {
				r.job(r.volume("wish", 9000, "sata-1", "sata-2"), 1, "cold", "hot", time.Hour, time.Now().Add(-61*time.Minute))
				r.pass(20*time.Minute, rules)
			},
			func(r *rig, rules *prometheus.Rules) {
				r.job(r.volume("wish", 9000, "sata-1", "sata-2"), 1, "cold", "hot", time.Hour, time.Now().Add(-50*time.Minute))
				r.pass(20*time.Minute, rules)
			},
		},
		{
			"VolumeFlapping", "VolumeFlapping shop/flapper db PV",
			func(r *rig, rules *prometheus.Rules) {
				uuid := r.volume("flapper", 3000, "sata-1", "sata-2")
				for n, tier := range []string{"hot", "cold", "hot"} {
					r.moved(uuid, "x", tier, n+1, r.now())
					r.pass(time.Hour, rules)
				}
			},
			func(r *rig, rules *prometheus.Rules) {
				uuid := r.volume("steady", 3000, "sata-1", "sata-2")
				for n, tier := range []string{"hot", "cold"} {
					r.moved(uuid, "x", tier, n+1, r.now())
					r.pass(time.Hour, rules)
				}
			},
		},
		{
			"TierNearlyFull", "TierNearlyFull db hot",
			func(r *rig, rules *prometheus.Rules) { r.fill(87); r.pass(time.Hour, rules) },
			func(r *rig, rules *prometheus.Rules) { r.fill(84); r.pass(time.Hour, rules) },
		},
		{
			"LeadTimeHigh, waiting", "LeadTimeHigh db",
			func(r *rig, rules *prometheus.Rules) { r.waiting(25 * time.Hour); r.pass(time.Hour, rules) },
			func(r *rig, rules *prometheus.Rules) { r.waiting(23 * time.Hour); r.pass(time.Hour, rules) },
		},
		{
			"LeadTimeHigh, moved", "LeadTimeHigh db",
			func(r *rig, rules *prometheus.Rules) { r.led(rules, 25*time.Hour) },
			func(r *rig, rules *prometheus.Rules) { r.led(rules, 23*time.Hour) },
		},
		{
			"PolicyError", "PolicyError db",
			func(r *rig, rules *prometheus.Rules) {
				r.policy.Spec.LowWatermarkIOPS = new(int64(9999999))
				r.pass(20*time.Minute, rules)
			},
			func(r *rig, rules *prometheus.Rules) {
				r.policy.Spec.LowWatermarkIOPS = new(int64(9999999))
				r.pass(8*time.Minute, rules)
			},
		},
		{
			"FreezeForgotten", "FreezeForgotten Disabled db",
			func(r *rig, rules *prometheus.Rules) {
				r.policy.Spec.Enabled = new(false)
				r.pass(25*time.Hour, rules)
			},
			func(r *rig, rules *prometheus.Rules) {
				r.policy.Spec.Enabled = new(false)
				r.pass(23*time.Hour, rules)
			},
		},
		{
			"FreezeForgotten of the cluster", "FreezeForgotten Frozen db",
			func(r *rig, rules *prometheus.Rules) { r.freeze(); r.pass(25*time.Hour, rules) },
			func(r *rig, rules *prometheus.Rules) { r.freeze(); r.pass(23*time.Hour, rules) },
		},
		{
			"GovernanceRejected", "GovernanceRejected",
			func(r *rig, rules *prometheus.Rules) { r.misgovern(); r.pass(20*time.Minute, rules) },
			func(r *rig, rules *prometheus.Rules) { r.misgovern(); r.pass(8*time.Minute, rules) },
		},
		{
			"Waiting", "Waiting db",
			func(r *rig, rules *prometheus.Rules) { r.upgrade(); r.pass(7*time.Hour, rules) },
			func(r *rig, rules *prometheus.Rules) { r.upgrade(); r.pass(5*time.Hour, rules) },
		},
	} {
		t.Run(c.alert, func(t *testing.T) {
			t.Parallel()
			t.Run("fires", func(t *testing.T) {
				t.Parallel()
				r := calm(t)
				rules := r.rules()
				r.pass(3*scrape, rules)
				c.fires(r, rules)
				want := []string{strings.Replace(c.want, "PV", r.volumes[len(r.volumes)-1].Name, 1)}
				if diff := cmp.Diff(firing(t, rules), want); diff != "" {
					t.Errorf("got (-) want (+):\n%s", diff)
				}
			})
			t.Run("does not fire yet", func(t *testing.T) {
				t.Parallel()
				r := calm(t)
				rules := r.rules()
				r.pass(3*scrape, rules)
				c.quiet(r, rules)
				if got := firing(t, rules); len(got) > 0 {
					t.Errorf("got %q", got)
				}
			})
		})
	}
}

// attempts lets the last volume remember attempts that failed in a row.
func (r *rig) attempts(n int) {
	r.t.Helper()
	uuid := r.volume("cursed", 9000, "sata-1", "sata-2")
	pv := r.volumes[len(r.volumes)-1]
	pv.Annotations[tiering.Group+"/attempt"] = fmt.Sprintf(
		`{"n":%d,"move":"m","policy":"db","from":"cold","to":"hot","state":"failed","reason":"Stalled","failures":%d,"at":%q}`,
		n, n, time.Now().Add(-time.Minute).UTC().Format(time.RFC3339))
	// Its result is in the history already, or it would count as a new failure.
	r.record(tiering.HistoryEntry{JobName: fmt.Sprintf("couchestor-%s-%d", uuid, n), VolumeName: pv.Name, Outcome: tiering.OutcomeFailed, FromTier: "cold", ToTier: "hot"})
}

// fill fills the pools of the fast tier to so many percent.
func (r *rig) fill(percent int64) {
	r.stale = true
	for n := 1; n <= 3; n++ {
		must(r.t, r.sim.FillPool(fmt.Sprintf("nvme-%d", n), 1<<40/100*(100-percent)))
	}
}

// waiting lets a volume that cools down have waited so long already.
func (r *rig) waiting(d time.Duration) {
	r.t.Helper()
	r.volume("waiting", 9000, "sata-1", "sata-2")
	r.volumes[len(r.volumes)-1].Annotations[tiering.Group+"/last-migration"] = time.Now().UTC().Format(time.RFC3339)
	r.refresh()
	r.ask()
	for i := range r.policy.Status.Plan {
		if e := &r.policy.Status.Plan[i]; e.Claim == "shop/waiting" && e.Gate == "cooldown" {
			e.WantedSince.Time = time.Now().Add(-d)
			return
		}
	}
	r.t.Fatalf("the plan is %+v, want a volume in it that cools down", r.policy.Status.Plan)
}

// freeze freezes the cluster for longer than any case lasts.
func (r *rig) freeze() {
	r.govern("freeze.reason", "release 7")
	r.govern("freeze.until", time.Now().Add(100*time.Hour).UTC().Format(time.RFC3339))
	r.mode("Frozen")
}

// misgovern puts a key into the governance that there is not.
func (r *rig) misgovern() {
	r.govern("freze.until", "tomorrow")
	r.until("rejects its governance", func() bool { return r.shown("couchestor_governance_accepted") == 0 })
}

// upgrade leaves an upgrade of Mayastor half done.
func (r *rig) upgrade() {
	must(r.t, r.sim.UpgradeNode("node-2", "2.11.0"))
	r.mode("Waiting")
}

// led lets two volumes be moved within a day, one of which had waited for d and
// one for d and an hour less or more.
func (r *rig) led(rules *prometheus.Rules, d time.Duration) {
	uuid := r.volume("late", 3000, "sata-1")
	for n := range 2 {
		r.record(tiering.HistoryEntry{
			JobName: fmt.Sprintf("couchestor-%s-%d", uuid, n+1), VolumeName: "pvc-" + uuid, Outcome: tiering.OutcomeMoved, Success: true,
			FromTier: "cold", ToTier: "hot", LeadTime: (d + time.Duration(n)*time.Minute).String(),
		})
		r.pass(time.Hour, rules)
	}
}

func TestAlertOnAnAPIServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	r := calm(t, unreachable)
	rules := r.rules()
	r.pass(12*time.Minute, rules)
	if got := firing(t, rules); len(got) > 0 {
		t.Errorf("after 12 minutes got %q", got)
	}
	r.pass(12*time.Minute, rules)
	if diff := cmp.Diff(firing(t, rules), []string{"KubernetesUnreachable"}); diff != "" {
		t.Errorf("got (-) want (+):\n%s", diff)
	}
}

func TestNothingFiresWhenAllIsWell(t *testing.T) {
	r := calm(t)
	// A move that began, and one that ended well a while ago.
	r.job(r.volume("moving", 9000, "sata-1", "sata-2"), 1, "cold", "hot", time.Hour, time.Now())
	r.moved(strings.TrimPrefix(r.volumes[0].Name, "pvc-"), "cold", "hot", 1, r.now().Add(-time.Hour))
	rules := r.rules()
	for _, d := range []time.Duration{time.Hour, 6 * time.Hour, time.Hour} {
		r.pass(d, rules)
		for _, a := range rules.Alerts() {
			t.Errorf("%s is pending or fires: %v", a.Name, a.Labels)
		}
	}
}

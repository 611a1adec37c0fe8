package signals

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/docs"
	"github.com/billyronks/couchestor/manifests"
	"github.com/billyronks/couchestor/tiering"
)

// rule is an alert as it is shipped.
type rule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func shipped(t *testing.T) []rule {
	t.Helper()
	text, err := manifests.Files.ReadFile(ruleFile)
	must(t, err)
	var object struct {
		Spec struct {
			Groups []struct{ Rules []rule }
		}
	}
	must(t, yaml.Unmarshal(text, &object))
	var all []rule
	for _, g := range object.Spec.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// sections are the runbook's, by the alert they are named after.
func sections(t *testing.T) map[string]string {
	t.Helper()
	text, err := docs.Pages.ReadFile("runbook.md")
	must(t, err)
	found := map[string]string{}
	for _, part := range strings.Split(string(text), "\n## ")[1:] {
		name, body, _ := strings.Cut(part, "\n")
		found[name] = strings.TrimSpace(body)
	}
	return found
}

// full is a world in which every metric has been seen.
func full(t *testing.T) *rig {
	t.Helper()
	r := calm(t, unreachable)
	uuid := r.volume("late", 9000, "sata-1", "sata-2")
	r.moved(uuid, "cold", "hot", 1, r.now())
	r.record(tiering.HistoryEntry{JobName: "f", VolumeName: "pvc-" + uuid, Outcome: tiering.OutcomeFailed, Reason: "Stalled", FromTier: "cold", ToTier: "hot"})
	r.pass(2*scrape, nil)
	return r
}

func TestAlertsAskForWhatIsScraped(t *testing.T) {
	r := full(t)
	for _, rule := range shipped(t) {
		for _, fault := range r.faults(rule.Expr) {
			t.Errorf("%s: %s", rule.Alert, fault)
		}
	}
}

func TestEachAlertSaysHowBadItIsAndWhatToDo(t *testing.T) {
	const page = "https://github.com/billyronks/couchestor/blob/main/docs/runbook.md#"
	names := map[string]bool{}
	for _, rule := range shipped(t) {
		names[rule.Alert] = true
		if diff := cmp.Diff(slices.Sorted(maps.Keys(rule.Annotations)), []string{"description", "runbook_url", "summary"}); diff != "" {
			t.Errorf("%s: annotations, got (-) want (+):\n%s", rule.Alert, diff)
		}
		if s := rule.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity %q is neither critical nor warning", rule.Alert, s)
		}
		if got, want := rule.Annotations["runbook_url"], page+strings.ToLower(rule.Alert); got != want {
			t.Errorf("%s: its runbook is %s, want %s", rule.Alert, got, want)
		}
		if d, err := tiering.Duration(rule.For).Parse(); err != nil || d < 5*time.Minute {
			t.Errorf("%s: for %q, %v; want 5m or more, so that a restart does not fire it", rule.Alert, rule.For, err)
		}
	}
	if len(names) < 10 {
		t.Errorf("got %d alerts, the walk ended early", len(names))
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(sections(t))), slices.Sorted(maps.Keys(names))); diff != "" {
		t.Errorf("sections of the runbook (-) alerts (+):\n%s", diff)
	}
}

func TestEachSectionOfTheRunbookBeginsWithAQueryThatRuns(t *testing.T) {
	r := full(t)
	block := regexp.MustCompile("(?s)^```promql\n(.*?)\n```\n")
	any := regexp.MustCompile("(?s)```promql\n(.*?)\n```")
	for name, text := range sections(t) {
		if !block.MatchString(text) {
			t.Errorf("%s does not begin with a query", name)
		}
		for _, found := range any.FindAllStringSubmatch(text, -1) {
			for _, fault := range r.faults(found[1]) {
				t.Errorf("%s: %s: %s", name, found[1], fault)
			}
		}
	}
}

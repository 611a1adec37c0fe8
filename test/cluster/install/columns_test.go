package install

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/billyronks/couchestor/tiering"
)

// table is what the API server makes of policies for kubectl get: the columns that
// are always shown, or with wide those of -o wide, and a row for each.
func table(t *testing.T, wide bool) string {
	t.Helper()
	client, err := kubernetes.NewForConfig(suite.Admin)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := client.Discovery().RESTClient().Get().AbsPath("/apis", tiering.Group, tiering.Version, "storagepolicies").
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got metav1.Table
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 3, ' ', 0)
	shown := func(i int) bool { return wide || got.ColumnDefinitions[i].Priority == 0 }
	for i, column := range got.ColumnDefinitions {
		if shown(i) {
			fmt.Fprintf(w, "%s\t", strings.ToUpper(column.Name))
		}
	}
	fmt.Fprintln(w)
	for _, row := range got.Rows {
		for i, cell := range row.Cells {
			switch {
			case !shown(i):
			case got.ColumnDefinitions[i].Name == "Age":
				fmt.Fprint(w, "-\t") // however long this test took
			case cell == nil:
				fmt.Fprint(w, "\t")
			default:
				fmt.Fprintf(w, "%v\t", cell)
			}
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func TestKubectlGetAnswersWhatOnCallAsksFirst(t *testing.T) {
	suite.Scenario(t, "kubectl get storagepolicies: does it work, may it move, does it, did something fail")
	api := policies(t)
	// What the other tests put there is gone, or is put there again.
	if err := api.DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	ago := func(d time.Duration) metav1.Time { return metav1.NewTime(time.Now().Add(-d).Truncate(time.Second)) }
	moved := func(d time.Duration) []tiering.HistoryEntry {
		return []tiering.HistoryEntry{
			{JobName: "couchestor-2-1", VolumeName: "pvc-2", Timestamp: ago(d), Outcome: "moved", Success: true},
			{JobName: "couchestor-1-1", VolumeName: "pvc-1", Timestamp: ago(d + time.Hour), Outcome: "failed", Error: "…"},
		}
	}
	ready := func(status metav1.ConditionStatus, reason string) []metav1.Condition {
		return []metav1.Condition{{Type: tiering.ConditionReady, Status: status, Reason: reason, LastTransitionTime: ago(time.Hour)}}
	}
	over := metav1.NewTime(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	for name, status := range map[string]tiering.StoragePolicyStatus{
		"databases": {
			Phase: tiering.PhaseActive, Mode: "Active", ModeReason: "Volumes are moved as the plan says.", Conditions: ready("True", "Active"),
			WatchedVolumes: 42, HotVolumes: 12, ColdVolumes: 28, MixedVolumes: 2, ActiveMigrations: 2, TotalMigrations: 60, FailedMigrations: 1,
			MigrationHistory: moved(26 * time.Hour),
		},
		"caches": {
			Phase: tiering.PhaseActive, Mode: "Blind", ModeReason: "Without scores nothing moves.", Conditions: ready("False", "MetricsUnavailable"),
			WatchedVolumes: 7, HotVolumes: 5, ColdVolumes: 2, UnknownVolumes: 7,
		},
		"logs": {
			Phase: tiering.PhaseActive, Mode: "Active", ModeReason: "Volumes are moved as the plan says.", Conditions: ready("False", "NoPools"),
			WatchedVolumes: 300, HotVolumes: 1, WarmVolumes: 99, ColdVolumes: 200, MigrationHistory: moved(12 * time.Minute),
		},
		"retired": {Phase: tiering.PhaseDisabled, Mode: "Disabled", ModeReason: "spec.enabled is false.", Conditions: ready("False", "Disabled")},
		"trial": {
			Phase: tiering.PhaseDryRun, Mode: "DryRun", ModeReason: "A new policy is watched first.", Conditions: ready("True", "DryRun"),
			WatchedVolumes: 9, ColdVolumes: 9, Governance: &tiering.GovernanceStatus{Until: &over},
		},
		"new": {},
	} {
		policy, err := create(t, name, map[string]any{})
		if err != nil {
			t.Fatal(err)
		}
		if name == "new" {
			continue // no status was written yet
		}
		raw, err := json.Marshal(status)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(raw, &fields); err != nil {
			t.Fatal(err)
		}
		policy.Object["status"] = fields
		if _, err := api.UpdateStatus(t.Context(), policy, metav1.UpdateOptions{FieldValidation: metav1.FieldValidationStrict}); err != nil {
			t.Fatal(err)
		}
	}
	want := strings.TrimSpace(`
NAME        READY   REASON               MODE       VOLUMES   MOVING   FAILED   UNKNOWN   HOT   COLD   AGE
caches      False   MetricsUnavailable   Blind      7         0        0        7         5     2      -
databases   True    Active               Active     42        2        1        0         12    28     -
logs        False   NoPools              Active     300       0        0        0         1     200    -
new                                                                                                    -
retired     False   Disabled             Disabled   0         0        0        0         0     0      -
trial       True    DryRun               DryRun     9         0        0        0         0     9      -
`)
	if diff := cmp.Diff(strings.Split(table(t, false), "\n"), strings.Split(want, "\n")); diff != "" {
		t.Errorf("kubectl get (-got +want):\n%s", diff)
	}
	if width := len(strings.Split(table(t, false), "\n")[1]); width > 120 {
		t.Errorf("got lines of %d characters, which break on a terminal", width)
	}
	wide := strings.TrimSpace(`
NAME        READY   REASON               MODE       VOLUMES   MOVING   FAILED   UNKNOWN   HOT   WARM   COLD   MIXED   LAST MOVE   DRY RUN UNTIL          AGE   WHY
caches      False   MetricsUnavailable   Blind      7         0        0        7         5     0      2      0                                          -     Without scores nothing moves.
databases   True    Active               Active     42        2        1        0         12    0      28     2       26h                                -     Volumes are moved as the plan says.
logs        False   NoPools              Active     300       0        0        0         1     99     200    0       12m                                -     Volumes are moved as the plan says.
new                                                                                                                                                      -
retired     False   Disabled             Disabled   0         0        0        0         0     0      0      0                                          -     spec.enabled is false.
trial       True    DryRun               DryRun     9         0        0        0         0     0      9      0                   2030-01-02T03:04:05Z   -     A new policy is watched first.
`)
	got := strings.Split(table(t, true), "\n")
	if diff := cmp.Diff(got, strings.Split(wide, "\n")); diff != "" {
		t.Errorf("kubectl get -o wide (-got +want):\n%s", diff)
	}
	if i := slices.IndexFunc(got, func(line string) bool { return strings.Contains(line, "<invalid>") || strings.Contains(line, "error") }); i >= 0 {
		t.Errorf("a cell is no value: %s", got[i])
	}
}

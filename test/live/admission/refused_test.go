package admission

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// yamlPolicy is a policy with the spec written as YAML.
func yamlPolicy(t testing.TB, spec string) map[string]any {
	t.Helper()
	return policyOf(decode(t, []byte(spec)))
}

func TestABadPolicyIsRefusedWithASentence(t *testing.T) {
	const operators = "each of matchExpressions needs the operator In or NotIn with values, or Exists or DoesNotExist without"
	const below = "lowWatermarkIOPS must be below highWatermarkIOPS, or each volume would be hot and cold at once"
	const warm = "warmWatermarkIOPS must lie between lowWatermarkIOPS and highWatermarkIOPS, or be 0 for no warm tier"
	const both = "warmWatermarkIOPS and warmPoolSelector go together: set both for a warm tier, or neither"
	tests := []struct {
		name string
		spec string
		want []string
	}{
		{"enabled is no word", `enabled: "yes"`, []string{`spec.enabled: must be of type boolean: "string"`}},
		{"dryRun is no number", `dryRun: 1`, []string{`spec.dryRun: must be of type boolean: "integer"`}},
		{"pausePromotions is true or false", `pausePromotions: 1`, []string{`spec.pausePromotions: must be of type boolean: "integer"`}},
		{"pauseDemotions is true or false", `pauseDemotions: all`, []string{`spec.pauseDemotions: must be of type boolean: "string"`}},
		{"storageClassName is not empty", `storageClassName: ""`, []string{`spec.storageClassName: should be at least 1 chars long`}},
		{"storageClassName is a name", `storageClassName: ` + strings.Repeat("a", 254), []string{`spec.storageClassName: may not be more than 253 bytes`}},

		{"volumeSelector knows four operators", `volumeSelector: {matchExpressions: [{key: app, operator: Equals, values: [a]}]}`, []string{`spec.volumeSelector: ` + operators}},
		{"volumeSelector's In needs values", `volumeSelector: {matchExpressions: [{key: app, operator: In}]}`, []string{`spec.volumeSelector: ` + operators}},
		{"volumeSelector's NotIn needs values", `volumeSelector: {matchExpressions: [{key: app, operator: NotIn, values: []}]}`, []string{`spec.volumeSelector: ` + operators}},
		{"volumeSelector's Exists has no values", `volumeSelector: {matchExpressions: [{key: app, operator: Exists, values: [a]}]}`, []string{`spec.volumeSelector: ` + operators}},
		{"volumeSelector needs a key", `volumeSelector: {matchExpressions: [{operator: Exists}]}`, []string{`spec.volumeSelector.matchExpressions[0].key: Required value`}},
		{"volumeSelector's labels are strings", `volumeSelector: {matchLabels: {a: 1}}`, []string{`spec.volumeSelector.matchLabels.a: must be of type string: "integer"`}},
		{"volumeSelector is no list", `volumeSelector: [a]`, []string{`spec.volumeSelector: must be of type object: "array"`}},
		{"hotPoolSelector knows four operators", `hotPoolSelector: {matchExpressions: [{key: app, operator: exists}]}`, []string{`spec.hotPoolSelector: ` + operators}},
		{"coldPoolSelector knows four operators", `coldPoolSelector: {matchExpressions: [{key: app, operator: exists}]}`, []string{`spec.coldPoolSelector: ` + operators}},
		{"nvmePoolSelector knows four operators", `nvmePoolSelector: {matchExpressions: [{key: app, operator: exists}]}`, []string{`spec.nvmePoolSelector: ` + operators}},
		{"sataPoolSelector knows four operators", `sataPoolSelector: {matchExpressions: [{key: app, operator: exists}]}`, []string{`spec.sataPoolSelector: ` + operators}},
		{"warmPoolSelector knows four operators", `{warmWatermarkIOPS: 1000, warmPoolSelector: {matchExpressions: [{key: app, operator: exists}]}}`, []string{`spec.warmPoolSelector: ` + operators}},

		{"claimNamespaces names each once", `claimNamespaces: [a, a]`, []string{`spec.claimNamespaces[1]: Duplicate value`}},
		{"claimNamespaces are names", `claimNamespaces: ["", ` + strings.Repeat("a", 64) + `]`, []string{
			`spec.claimNamespaces[0]: should be at least 1 chars long`,
			`spec.claimNamespaces[1]: may not be more than 63 bytes`,
		}},

		{"highWatermarkIOPS is above zero", `{highWatermarkIOPS: 0, lowWatermarkIOPS: 0}`, []string{`spec.highWatermarkIOPS: should be greater than or equal to 1`, `spec: ` + below}},
		{"highWatermarkIOPS has an end", `highWatermarkIOPS: 1000000001`, []string{`spec.highWatermarkIOPS: should be less than or equal to 1000000000`}},
		{"highWatermarkIOPS is whole", `highWatermarkIOPS: 5000.5`, []string{
			`spec.highWatermarkIOPS: must be of type int64: "float64"`,
			`<nil>: Checked value must be of type integer with format int64 in spec.highWatermarkIOPS`,
		}},
		{"highWatermarkIOPS is a number", `highWatermarkIOPS: "5000"`, []string{`spec.highWatermarkIOPS: must be of type integer: "string"`}},
		{"lowWatermarkIOPS is not negative", `lowWatermarkIOPS: -1`, []string{`spec.lowWatermarkIOPS: should be greater than or equal to 0`}},
		{"low is below high", `{highWatermarkIOPS: 500, lowWatermarkIOPS: 500}`, []string{`spec: ` + below}},
		{"low is below the default of high", `lowWatermarkIOPS: 6000`, []string{`spec: ` + below}},
		{"warmWatermarkIOPS is not negative", `{warmWatermarkIOPS: -1}`, []string{`spec.warmWatermarkIOPS: should be greater than or equal to 0`, `spec: ` + warm}},
		{"warm is above low", `{warmWatermarkIOPS: 500, warmPoolSelector: {matchLabels: {a: b}}}`, []string{`spec: ` + warm}},
		{"warm is below high", `{warmWatermarkIOPS: 5000, warmPoolSelector: {matchLabels: {a: b}}}`, []string{`spec: ` + warm}},
		{"a warm watermark needs a warm selector", `warmWatermarkIOPS: 2000`, []string{`spec: ` + both}},
		{"a warm selector needs a warm watermark", `warmPoolSelector: {matchLabels: {a: b}}`, []string{`spec: ` + both}},

		{"hotPoolSelector has one name", `{hotPoolSelector: {matchLabels: {a: b}}, nvmePoolSelector: {matchLabels: {a: b}}}`, []string{`spec: nvmePoolSelector is another name of hotPoolSelector: set one of them`}},
		{"coldPoolSelector has one name", `{coldPoolSelector: {matchLabels: {a: b}}, sataPoolSelector: {matchLabels: {a: b}}}`, []string{`spec: sataPoolSelector is another name of coldPoolSelector: set one of them`}},

		{"samplingWindow has a unit", `samplingWindow: "60"`, []string{`spec.samplingWindow: should match '^([0-9]+(d|h|m|s))+$'`}},
		{"samplingWindow has a known unit", `samplingWindow: 1w`, []string{`spec.samplingWindow: should match '^([0-9]+(d|h|m|s))+$'`}},
		{"samplingWindow is no number", `samplingWindow: 60`, []string{`spec.samplingWindow: must be of type string: "integer"`}},
		{"samplingWindow is longer than zero", `samplingWindow: 0h0m`, []string{`spec.samplingWindow: must be longer than zero`}},
		{"samplingWindow is a day at most", `samplingWindow: 1d1s`, []string{`spec.samplingWindow: must be at most 24h`}},
		{"minCoverage is at least a half", `minCoverage: 49`, []string{`spec.minCoverage: should be greater than or equal to 50`}},
		{"minCoverage is a percentage", `minCoverage: 101`, []string{`spec.minCoverage: should be less than or equal to 100`}},
		{"cooldownPeriod is whole", `cooldownPeriod: 1.5h`, []string{`spec.cooldownPeriod: should match '^([0-9]+(d|h|m|s))+$'`}},
		{"cooldownPeriod is longer than zero", `cooldownPeriod: 0s`, []string{`spec.cooldownPeriod: must be longer than zero`}},
		{"cooldownPeriod has an end", `cooldownPeriod: 3650d1s`, []string{`spec.cooldownPeriod: must be at most 3650d`}},
		{"cooldownPeriod does not overflow", `cooldownPeriod: 9999999999999999999999999999h`, []string{`spec.cooldownPeriod: must be at most 3650d`}},
		{"cooldownPeriod is short to write", `cooldownPeriod: 1h1h1h1h1h1h1h1h1h1h1h1h1h1h1h1h1h`, []string{`spec.cooldownPeriod: may not be more than 32 bytes`}},
		{"migrationTimeout is longer than zero", `migrationTimeout: 0m`, []string{`spec.migrationTimeout: must be longer than zero`}},
		{"migrationTimeout has a sign before it", `migrationTimeout: -30m`, []string{`spec.migrationTimeout: should match '^([0-9]+(d|h|m|s))+$'`}},

		{"maxConcurrentMigrations lets something move", `maxConcurrentMigrations: 0`, []string{`spec.maxConcurrentMigrations: should be greater than or equal to 1`}},
		{"maxConcurrentMigrations has an end", `maxConcurrentMigrations: 26`, []string{`spec.maxConcurrentMigrations: should be less than or equal to 25`}},
		{"allowReducedRedundancy is true or false", `allowReducedRedundancy: "true"`, []string{`spec.allowReducedRedundancy: must be of type boolean: "string"`}},
		{"volumesWithSnapshots is Skip or Move", `volumesWithSnapshots: skip`, []string{`spec.volumesWithSnapshots: supported values: "Skip", "Move"`}},
		{"maxPoolUsedPercent is a percentage", `maxPoolUsedPercent: 101`, []string{`spec.maxPoolUsedPercent: should be less than or equal to 100`}},
		{"maxPoolUsedPercent leaves room", `maxPoolUsedPercent: 0`, []string{`spec.maxPoolUsedPercent: should be greater than or equal to 1`}},
		{"priority has an end", `priority: 1000001`, []string{`spec.priority: should be less than or equal to 1000000`}},
		{"priority has a beginning", `priority: -1000001`, []string{`spec.priority: should be greater than or equal to -1000000`}},
		{"ecMinVolumeSizeBytes is a number", `ecMinVolumeSizeBytes: 10Gi`, []string{`spec.ecMinVolumeSizeBytes: must be of type integer: "string"`}},
	}
	s := newServer(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			policy := yamlPolicy(t, test.spec)
			_, unknown, refused := s.create(t, policy)
			if len(unknown) > 0 {
				t.Fatalf("the test itself is wrong: %q are no fields", unknown)
			}
			if diff := cmp.Diff(refused, test.want); diff != "" {
				t.Errorf("refused (-got +want):\n%s", diff)
			}
			if _, faults := goView(t, policy); len(faults) == 0 {
				t.Error("the service accepts it, should it get past admission")
			}
		})
	}

	// ecPolicyRef may hold anything, as it is ignored.
	cannotBeWrong := map[string]bool{"ecPolicyRef": true}
	for _, field := range slices.Sorted(maps.Keys(s.structural.Properties["spec"].Properties)) {
		wrong := slices.ContainsFunc(tests, func(test struct {
			name string
			spec string
			want []string
		},
		) bool {
			return slices.ContainsFunc(test.want, func(text string) bool { return strings.Contains(text, field) })
		})
		if !wrong && !cannotBeWrong[field] {
			t.Errorf("no policy here has a wrong %s", field)
		}
	}
}

func TestANameTooLongForALabelIsRefused(t *testing.T) {
	s := newServer(t)
	policy := policyOf(map[string]any{})
	policy["metadata"] = map[string]any{"name": strings.Repeat("a", 64)}
	_, _, refused := s.create(t, policy)
	want := []string{"<nil>: metadata.name must have at most 63 characters, because each Job carries it as a label; choose a shorter name"}
	if diff := cmp.Diff(refused, want); diff != "" {
		t.Errorf("refused (-got +want):\n%s", diff)
	}
}

func TestAMisspeltFieldIsPointedOut(t *testing.T) {
	s := newServer(t)
	_, unknown, _ := s.create(t, yamlPolicy(t, `{highWatermarkIops: 1000, hotPoolSelector: {matchLabel: {a: b}}}`))
	slices.Sort(unknown)
	if diff := cmp.Diff(unknown, []string{"spec.highWatermarkIops", "spec.hotPoolSelector.matchLabel"}); diff != "" {
		t.Errorf("unknown (-got +want):\n%s", diff)
	}
}

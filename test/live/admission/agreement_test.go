package admission

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Where the two disagree, a user is either told at admission that a good policy
// is bad, or hears of a bad one only from its status.
func TestTheServerAndTheServiceAcceptTheSamePolicies(t *testing.T) {
	s := newServer(t)
	accepted, refused := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		policy := policyOf(spec().Draw(rt, "spec"))
		stored, unknown, why := s.create(t, policy)
		if len(unknown) > 0 {
			rt.Fatalf("the generator made fields that are none: %q", unknown)
		}
		_, faults := goView(t, policy)
		if (len(why) == 0) != (len(faults) == 0) {
			rt.Fatalf("the server says %q, the service %q", why, faults)
		}
		if len(why) > 0 {
			refused++
			return
		}
		accepted++
		// What the server stored has its defaults in it and means the same.
		if _, faults := goView(t, stored); len(faults) > 0 {
			rt.Fatalf("with the server's defaults the service refuses it: %q", faults)
		}
	})
	t.Logf("%d accepted, %d refused", accepted, refused)
	if accepted == 0 || refused == 0 {
		t.Errorf("got %d accepted and %d refused; the test proves something only with both", accepted, refused)
	}
}

// What a schema cannot say within the API server's limit on the cost of rules,
// the service says in the policy's status.
func TestTheSyntaxOfLabelsIsJudgedByTheServiceAlone(t *testing.T) {
	s := newServer(t)
	tests := []struct{ name, spec string }{
		{"a key with a space", `hotPoolSelector: {matchLabels: {"storage tier": hot}}`},
		{"a value with a space", `hotPoolSelector: {matchLabels: {storage-tier: very hot}}`},
		{"a key of an expression", `volumeSelector: {matchExpressions: [{key: "a/b/c", operator: Exists}]}`},
		{"a value of an expression", `volumeSelector: {matchExpressions: [{key: a, operator: In, values: ["-"]}]}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			policy := yamlPolicy(t, test.spec)
			if _, _, refused := s.create(t, policy); len(refused) > 0 {
				t.Errorf("the server refuses it now, %q: move it to the policies that both refuse", refused)
			}
			if _, faults := goView(t, policy); len(faults) != 1 {
				t.Errorf("got %d faults from the service, want 1: %q", len(faults), faults)
			}
		})
	}
}

// spec draws mostly good values, so that about as many specs are accepted as
// refused, with the bad ones at each edge.
func spec() *rapid.Generator[map[string]any] {
	fields := map[string]*rapid.Generator[any]{
		"enabled":                 whole(true, false),
		"dryRun":                  whole(true, false),
		"pausePromotions":         whole(true, false),
		"pauseDemotions":          whole(true, false),
		"approval":                either(whole("Auto", "Manual"), whole("", "auto")),
		"maintenanceWindows":      windows(),
		"storageClassName":        either(whole("mayastor", "fast", strings.Repeat("a", 253)), whole("", strings.Repeat("a", 254))),
		"volumeSelector":          selector(),
		"hotPoolSelector":         selector(),
		"warmPoolSelector":        selector(),
		"coldPoolSelector":        selector(),
		"nvmePoolSelector":        selector(),
		"sataPoolSelector":        selector(),
		"claimNamespaces":         either(whole(list(), list("a"), list("a", "b")), whole(list("a", "a"), list(""), list(strings.Repeat("a", 64)))),
		"highWatermarkIOPS":       either(number(1, 2, 2000, 4999, 5000, 1_000_000_000), number(-1, 0, 1_000_000_001)),
		"lowWatermarkIOPS":        either(number(0, 1, 500, 1999), number(-1, 1_000_000_000, 1_000_000_001)),
		"warmWatermarkIOPS":       either(number(0, 501, 2000, 4999), number(-1, 1, 500, 5000)),
		"samplingWindow":          either(duration(), badDuration()),
		"cooldownPeriod":          either(duration(), badDuration()),
		"migrationTimeout":        either(duration(), badDuration()),
		"minCoverage":             either(number(50, 80, 100), number(-1, 0, 49, 101)),
		"maxConcurrentMigrations": either(number(1, 2, 25), number(-1, 0, 26)),
		"allowReducedRedundancy":  whole(true, false),
		"volumesWithSnapshots":    either(whole("Skip", "Move"), whole("", "skip", "Keep")),
		"maxPoolUsedPercent":      either(number(1, 90, 100), number(-1, 0, 101)),
		"priority":                either(number(-1_000_000, 0, 1_000_000), number(-1_000_001, 1_000_001)),
		"ecPolicyRef":             whole("standard", map[string]any{"name": "standard"}, int64(1)),
		"ecMinVolumeSizeBytes":    number(-1, 0, 1<<62),
	}
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return rapid.Custom(func(t *rapid.T) map[string]any {
		out := map[string]any{}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, 6, rapid.ID).Draw(t, "fields") {
			out[name] = fields[name].Draw(t, name)
		}
		// Nearly every drawn spec would fail for a warm tier that is half set.
		if _, ok := out["warmPoolSelector"]; ok && rapid.Bool().Draw(t, "warm tier whole") {
			out["warmWatermarkIOPS"] = int64(1000)
		}
		return out
	})
}

// either draws from the good values four times in five.
func either(good, bad *rapid.Generator[any]) *rapid.Generator[any] {
	return rapid.OneOf(good, good, good, good, bad)
}

func whole(values ...any) *rapid.Generator[any] { return rapid.SampledFrom(values) }

func number(values ...int64) *rapid.Generator[any] {
	return rapid.Map(rapid.SampledFrom(values), func(n int64) any { return n })
}

func list(values ...any) []any { return slices.Concat([]any{}, values) }

func duration() *rapid.Generator[any] {
	return rapid.OneOf(
		whole("1s", "30m", "1h", "24h", "1d", "23h59m60s", "0d1h", "01h", "1m1h", "00000000000000000000000000001h"),
		rapid.Map(rapid.StringMatching(`([0-9]{1,3}(h|m|s)){1,3}`), func(s string) any { return s }),
	)
}

func badDuration() *rapid.Generator[any] {
	return rapid.OneOf(
		whole("", "0s", "0d0h0m0s", "1w", "1", "h", "-1h", "+1h", "1.5h", " 1h", "1h ", "1h\n", "1H", "\u0661h",
			"24h1s", "1d1s", "3650d", "3651d", "87600h", "87600h1s", "315360000s", "315360001s", "9999999999s",
			"99999999999999999999d", "000000000000000000000000000000001h"),
		rapid.Map(rapid.StringMatching(`([0-9]{1,10}(d|h|m|s|w|)){1,3}`), func(s string) any { return s }),
	)
}

// windows draws maintenance windows. Whether a name of the right form is that of a
// time zone is for the service alone to say.
func windows() *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		out := list()
		for range rapid.IntRange(0, 3).Draw(t, "count") {
			window := map[string]any{
				"start": either(whole("00:00", "09:30", "22:00", "23:59"), whole("24:00", "9:30", "22:60", "")).Draw(t, "start"),
				"end":   either(whole("00:01", "06:00", "23:59", "24:00"), whole("22:00", "24:01", "noon", "")).Draw(t, "end"),
			}
			for _, optional := range []struct {
				field  string
				values *rapid.Generator[any]
			}{
				{"action", either(whole("Allow", "Deny"), whole("allow", ""))},
				{"days", either(whole(list(), list("Sat", "Sun"), list("Mon")), whole(list("Mon", "Mon"), list("mon"), list("")))},
				{"timeZone", either(whole("UTC", "Europe/Berlin", "Etc/GMT+3"), whole("", "Local", "Europe Berlin", strings.Repeat("a", 65)))},
			} {
				if rapid.Bool().Draw(t, optional.field+" is given") {
					window[optional.field] = optional.values.Draw(t, optional.field)
				}
			}
			out = append(out, window)
		}
		return out
	})
}

// selector draws selectors whose labels have the right syntax.
func selector() *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		out := map[string]any{}
		if rapid.Bool().Draw(t, "labels") {
			out["matchLabels"] = rapid.SampledFrom([]any{
				map[string]any{}, map[string]any{"storage-tier": "hot"}, map[string]any{"a.b/c": "", "d": "E"},
			}).Draw(t, "matchLabels")
		}
		if rapid.Bool().Draw(t, "expressions") {
			var expressions []any
			for range rapid.IntRange(0, 2).Draw(t, "count") {
				expression := map[string]any{"key": "a"}
				values := rapid.SampledFrom([]any{nil, list(), list("x"), list("x", "y")}).Draw(t, "values")
				switch operator := rapid.SampledFrom([]string{"In", "NotIn", "Exists", "DoesNotExist", "any"}).Draw(t, "operator"); operator {
				case "In", "NotIn":
					expression["operator"], expression["values"] = operator, list("x")
				case "Exists", "DoesNotExist":
					expression["operator"] = operator
				default:
					expression["operator"] = rapid.SampledFrom([]string{"In", "NotIn", "Exists", "DoesNotExist", "", "in", "Equals", "Gt"}).Draw(t, "any operator")
					if values != nil {
						expression["values"] = values
					}
				}
				expressions = append(expressions, expression)
			}
			out["matchExpressions"] = list(expressions...)
		}
		return out
	})
}

package signals

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/api"
	apiv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// query runs an instant query on the monitor, now.
func (r *rig) query(expr string) model.Vector {
	r.t.Helper()
	client, err := api.NewClient(api.Config{Address: r.monitor.URL()})
	must(r.t, err)
	value, warnings, _, err := apiv1.NewAPI(client).Query(r.t.Context(), expr, r.now())
	if err != nil {
		r.t.Errorf("%s: %v", expr, err)
		return nil
	}
	if len(warnings) > 0 {
		r.t.Errorf("%s: %q", expr, warnings)
	}
	switch v := value.(type) {
	case model.Vector:
		return v
	case *model.Scalar:
		return model.Vector{{Value: v.Value}}
	}
	r.t.Errorf("%s: got a %T", expr, value)
	return nil
}

// faults are what is wrong with a query. Each metric in it has to be scraped from the service or the exporter, with
// each label and, where a query names it, with that value. A query that only
// returns nothing would not tell: nothing is also what a healthy world says.
func (r *rig) faults(expr string) (faults []string) {
	r.t.Helper()
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return []string{err.Error()}
	}
	var selectors []*parser.VectorSelector
	var grouped []string
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.VectorSelector:
			selectors = append(selectors, n)
		case *parser.AggregateExpr:
			grouped = append(grouped, n.Grouping...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				grouped = append(grouped, n.VectorMatching.MatchingLabels...)
			}
		}
		return nil
	})
	if len(selectors) == 0 {
		fault("it asks for no metric")
	}
	known := map[string]bool{}
	for _, s := range selectors {
		for _, matcher := range s.LabelMatchers {
			alternatives := []string{matcher.Value}
			if set := matcher.SetMatches(); matcher.Type == labels.MatchRegexp && len(set) > 0 {
				alternatives = set
			} else if matcher.Type == labels.MatchRegexp {
				alternatives = nil
			}
			if matcher.Type == labels.MatchNotEqual || matcher.Type == labels.MatchNotRegexp {
				alternatives = nil
			}
			for _, value := range alternatives {
				if len(r.query(fmt.Sprintf("{__name__=%q, %s=%q}", s.Name, matcher.Name, value))) == 0 {
					fault("nothing is scraped as %s with %s %q", s.Name, matcher.Name, value)
				}
			}
		}
		for _, series := range r.query(s.Name) {
			for name := range series.Metric {
				known[string(name)] = true
			}
		}
	}
	// What label_replace makes is known by the query itself.
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if call, ok := node.(*parser.Call); ok && call.Func.Name == "label_replace" {
			known[strings.Trim(call.Args[1].String(), `"`)] = true
		}
		return nil
	})
	for _, name := range slices.Compact(slices.Sorted(slices.Values(grouped))) {
		if !known[name] {
			fault("no metric in it has the label %s", name)
		}
	}
	return faults
}

func TestAQueryForWhatIsNotScrapedIsFound(t *testing.T) {
	r := calm(t)
	r.pass(scrape, nil)
	for _, expr := range []string{
		`couchestor_no_such_metric`,
		`couchestor_source_up{source="mayastr"}`,
		`couchestor_policy_mode{mode=~"Frozen|Frosted"}`,
		`couchestor_source_up{kind="mayastor"}`,
		`sum by (polcy) (couchestor_volumes)`,
		`couchestor_volumes and on (volume) couchestor_volumes`,
		`1 + 1`,
		`sum(`,
	} {
		if len(r.faults(expr)) == 0 {
			t.Errorf("%s: nobody noticed", expr)
		}
	}
	for _, expr := range []string{
		`couchestor_policy_mode{mode=~"Frozen|Stopped"}`,
		`sum by (le) (label_replace(couchestor_scored_volumes, "le", "$1", "at_most", "(.*)"))`,
		`rate(diskpool_bytes_read{node="node-1"}[5m])`,
	} {
		if got := r.faults(expr); len(got) > 0 {
			t.Errorf("%s: %q", expr, got)
		}
	}
}

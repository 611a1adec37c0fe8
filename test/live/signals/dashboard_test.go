package signals

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"github.com/billyronks/couchestor/manifests"
	"github.com/billyronks/couchestor/tiering"
)

// dashboard is what is looked at of the shipped one.
type dashboard struct {
	Title, UID  string
	Annotations struct{ List []annotation }
	Templating  struct{ List []variable }
	Panels      []panel
}

type annotation struct {
	Name, Expr, TitleFormat, TextFormat string
	UseValueForTime                     bool
}

type variable struct {
	Name, Type string
	Query      any
	Multi      bool
	IncludeAll bool
}

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               *struct{ Type, UID string }
	GridPos                  struct{ H, W, X, Y int }
	FieldConfig              struct {
		Defaults struct{ Unit string }
	}
	Targets []target
}

type target struct {
	RefID, Expr, LegendFormat string
	Datasource                struct{ Type, UID string }
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	text, err := manifests.Files.ReadFile("components/dashboard/couchestor.json")
	must(t, err)
	var d dashboard
	must(t, json.Unmarshal(text, &d))
	if strings.Contains(string(text), "${") {
		t.Error("a variable is written ${...}, which the substitution of a delivery tool would take for its own; write $...")
	}
	return d
}

// queries are those of all panels and annotations, by where they are.
func (d *dashboard) queries() map[string]target {
	all := map[string]target{}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			all[p.Title+" "+q.RefID] = q
		}
	}
	for _, a := range d.Annotations.List {
		all["annotation "+a.Name] = target{Expr: a.Expr, LegendFormat: a.TitleFormat + a.TextFormat}
	}
	return all
}

var placeholder = regexp.MustCompile(`\$[a-zA-Z_]+`)

// filled is a query with its variables as Grafana fills them in.
func filled(t *testing.T, expr string, volumes []string) string {
	t.Helper()
	return placeholder.ReplaceAllStringFunc(expr, func(name string) string {
		switch name {
		case "$policy":
			return "(db)"
		case "$volume":
			return "(" + strings.Join(volumes, "|") + ")"
		case "$__range":
			return "6h"
		case "$__rate_interval":
			return "16m"
		}
		t.Errorf("%s: nothing fills %s in", expr, name)
		return name
	})
}

// lively is a world in which something of each kind happened within the last
// hours, so that each panel has something to show. Of the volume that moved the
// load was 200 IOPS before and 6000 after.
func lively(t *testing.T) (r *rig, moved string) {
	t.Helper()
	r = calm(t)
	moved = r.volume("orders", 200, "nvme-1", "nvme-2")
	r.pass(time.Hour, nil)

	r.moved(moved, "cold", "hot", 1, r.now())
	r.sim.SetLoad(moved, 3000, 3000, 4096)
	r.record(
		tiering.HistoryEntry{JobName: "f", VolumeName: "pvc-f", Outcome: tiering.OutcomeFailed, Reason: "Stalled", FromTier: "cold", ToTier: "hot", Duration: "5m0s"},
		tiering.HistoryEntry{JobName: "r", VolumeName: "pvc-r", Outcome: tiering.OutcomeRefused, Reason: "PoolFull", FromTier: "hot", ToTier: "cold"},
	)
	r.job(r.volume("moving", 9000, "sata-1", "sata-2"), 1, "cold", "hot", time.Hour, time.Now())
	r.waiting(time.Hour)
	for range 4 {
		r.ask([]byte("{")...)
		r.stale = true // Its sources are read within the last minutes, too.
		r.pass(12*time.Minute, nil)
	}
	return r, moved
}

func TestEachPanelShowsDataOfTheRealServiceAndExporter(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	r, moved := lively(t)
	volumes := []string{"pvc-" + moved}
	// What is empty while all is well: nothing failed to be read.
	empty := map[string]bool{"Queries and failures B": true}
	n := 0
	for at, q := range d.queries() {
		expr := filled(t, q.Expr, volumes)
		for _, fault := range r.faults(expr) {
			t.Errorf("%s: %s", at, fault)
		}
		found := r.query(expr)
		n++
		real := 0
		for _, s := range found {
			if !math.IsNaN(float64(s.Value)) {
				real++
			}
			for _, label := range legend.FindAllStringSubmatch(q.LegendFormat, -1) {
				if _, ok := s.Metric[model.LabelName(label[1])]; !ok {
					t.Errorf("%s: the legend has {{%s}}, and there is %v", at, label[1], s.Metric)
				}
			}
		}
		if real == 0 != empty[at] {
			t.Errorf("%s shows %d series: %s", at, real, expr)
		}
	}
	if n < 50 {
		t.Errorf("got %d queries, the walk ended early", n)
	}
}

var legend = regexp.MustCompile(`\{\{([^}]*)\}\}`)

func TestBeforeAndAfterAreTheHoursAroundTheMove(t *testing.T) {
	t.Parallel()
	d := readDashboard(t)
	r, moved := lively(t)
	queries := d.queries()
	const title = "The hour before and the hour after the last move of each volume "
	for ref, want := range map[string]float64{"B": 200, "C": 6000} {
		found := r.query(filled(t, queries[title+ref].Expr, []string{"pvc-" + moved}))
		// The rates next to the edge look across it.
		if len(found) != 1 || math.Abs(float64(found[0].Value)-want) > want/5 {
			t.Errorf("query %s: got %v, want one volume with about %g IOPS", ref, found, want)
		}
	}
	for _, ref := range []string{"D", "E"} {
		// Its pools answer in 150 µs, and a write waits for both copies.
		found := r.query(filled(t, queries[title+ref].Expr, []string{"pvc-" + moved}))
		if len(found) != 1 || math.Abs(float64(found[0].Value)-150) > 1 {
			t.Errorf("query %s: got %v, want one volume with 150 µs", ref, found)
		}
	}
}

func TestTheDashboardIsCompleteAndLaidOut(t *testing.T) {
	d := readDashboard(t)
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name+" "+v.Type)
		if query, ok := v.Query.(map[string]any); ok && !strings.Contains(fmt.Sprint(query["query"]), "label_values(couchestor_") {
			t.Errorf("variable %s asks %v", v.Name, query)
		}
	}
	if diff := cmp.Diff(names, []string{"datasource datasource", "policy query", "volume query"}); diff != "" {
		t.Errorf("variables, got (-) want (+):\n%s", diff)
	}
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s: the id %d is not its own", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				cell := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, ok := taken[cell]; ok || cell[0] >= 24 {
					t.Fatalf("%s lies on %s, or beyond the edge", p.Title, other)
				}
				taken[cell] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == "" || !strings.HasSuffix(p.Description, ".") {
			t.Errorf("%s: has %d queries, unit %q, description %q", p.Title, len(p.Targets), p.FieldConfig.Defaults.Unit, p.Description)
		}
		for _, q := range p.Targets {
			if q.Datasource.UID != "$datasource" || p.Datasource == nil || p.Datasource.UID != "$datasource" {
				t.Errorf("%s: does not ask the data source that is chosen", p.Title)
			}
		}
	}
}

package prometheus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
)

// Rules are the groups of a rules file, evaluated by upstream's rule engine over
// the TSDB at times of the caller's choice. They are for one goroutine, and end
// with the server's next Restart or Close.
type Rules struct {
	groups []*rules.Group
}

// Alert is an alert that fires or is pending.
type Alert struct {
	Name string
	// Firing is false while the alert's `for` is not over.
	Firing bool
	// Labels without the name; Annotations with their templates expanded.
	Labels, Annotations map[string]string
}

// LoadRules reads a rules file as the server does, with all its faults.
func (p *Prometheus) LoadRules(ctx context.Context, file string) (*Rules, error) {
	r := &Rules{}
	err := p.withCore(func(c *core) error {
		manager := rules.NewManager(&rules.ManagerOptions{
			QueryFunc:   rules.EngineQueryFunc(c.engine, c.db),
			NotifyFunc:  func(context.Context, string, ...*rules.Alert) {},
			ExternalURL: &url.URL{},
			Context:     ctx,
			Appendable:  c.db,
			Queryable:   c.db,
			Logger:      slog.New(slog.DiscardHandler),
			Registerer:  prometheus.NewRegistry(),
			Parser:      parser.NewParser(parser.Options{}),
		})
		groups, faults := manager.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, file)
		if len(faults) > 0 {
			return fmt.Errorf("rules in %s: %w", file, errors.Join(faults...))
		}
		for _, g := range groups {
			r.groups = append(r.groups, g)
		}
		slices.SortFunc(r.groups, func(a, b *rules.Group) int { return cmp.Compare(a.Name(), b.Name()) })
		return nil
	})
	return r, err
}

// Interval is the shortest time between two evaluations that a group asks for.
func (r *Rules) Interval() time.Duration {
	shortest := time.Duration(0)
	for _, g := range r.groups {
		if shortest == 0 || g.Interval() < shortest {
			shortest = g.Interval()
		}
	}
	return shortest
}

// Eval evaluates every rule once, as at the time at, which must not go back. An
// error is a rule that could not be evaluated.
func (r *Rules) Eval(ctx context.Context, at time.Time) error {
	var faults []error
	for _, g := range r.groups {
		g.Eval(ctx, at)
		for _, rule := range g.Rules() {
			if err := rule.LastError(); err != nil {
				faults = append(faults, fmt.Errorf("rule %s at %s: %w", rule.Name(), at, err))
			}
		}
	}
	return errors.Join(faults...)
}

// Alerts are those that fire or are pending since the last Eval, by name.
func (r *Rules) Alerts() []Alert {
	var all []Alert
	for _, g := range r.groups {
		for _, rule := range g.AlertingRules() {
			for _, a := range rule.ActiveAlerts() {
				all = append(all, Alert{
					Name: rule.Name(), Firing: a.State == rules.StateFiring,
					Labels: a.Labels.Map(), Annotations: a.Annotations.Map(),
				})
			}
		}
	}
	for i := range all {
		delete(all[i].Labels, "alertname")
	}
	slices.SortStableFunc(all, func(a, b Alert) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

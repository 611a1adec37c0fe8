package driver

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// customizeTTL is how long an answer holds for one parent and generation
// (MC 4.2).
const customizeTTL = 20 * time.Minute

// customized is a cached answer of the customize hook.
type customized struct {
	generation int64
	until      time.Time
	rules      []selection
}

// selection is a rule made ready to be asked of objects.
type selection struct {
	resource  Resource
	labels    labels.Selector
	namespace string
	names     []string
	// spaces, if set, selects the namespaces by their labels.
	spaces labels.Selector
}

// rules returns what is related to the parent, from the hook or the cache;
// none without a customize hook.
func (d *Driver) rules(ctx context.Context, parent *Object) ([]selection, error) {
	hook := d.controller.spec.Hooks.Customize
	if hook == nil {
		return nil, nil
	}
	d.mu.Lock()
	known, found := d.customized[parent.GetUID()]
	d.mu.Unlock()
	if found && known.generation == parent.GetGeneration() && time.Now().Before(known.until) {
		return known.rules, nil
	}
	d.count(func(c *Counters) { c.Customizes++ })
	call, err := d.call(ctx, hook, "customize", customizeRequest{d.controller.document, parent.Object})
	if err != nil {
		return nil, err
	}
	asked, err := decodeRules(call.response, hook.strict())
	if err != nil {
		return nil, fmt.Errorf("customize hook: decode answer: %w", err)
	}
	rules := make([]selection, len(asked))
	for i, rule := range asked {
		if rules[i], err = d.compile(ctx, rule); err != nil {
			return nil, fmt.Errorf("customize hook: relatedResources[%d]: %w", i, err)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.customized[parent.GetUID()] = customized{parent.GetGeneration(), time.Now().Add(customizeTTL), rules}
	return rules, nil
}

// compile checks a rule as MC 4.1 does.
func (d *Driver) compile(ctx context.Context, rule Rule) (selection, error) {
	r, err := d.cluster.Resource(ctx, rule.APIVersion, rule.Resource)
	if err != nil {
		return selection{}, err
	}
	s := selection{resource: r, labels: labels.Everything(), namespace: rule.Namespace, names: rule.Names}
	switch {
	case len(rule.Names) > 0 && (rule.LabelSelector != nil || rule.NamespaceSelector != nil):
		return s, fmt.Errorf("%s: names and a selector exclude each other", rule.Resource)
	case rule.Namespace != "" && rule.NamespaceSelector != nil:
		return s, fmt.Errorf("%s: namespace and namespaceSelector exclude each other", rule.Resource)
	}
	if rule.LabelSelector != nil {
		if s.labels, err = metav1.LabelSelectorAsSelector(rule.LabelSelector); err != nil {
			return s, fmt.Errorf("%s: %w", rule.Resource, err)
		}
	}
	if rule.NamespaceSelector != nil {
		if !r.Namespaced {
			return s, fmt.Errorf("%s: namespaceSelector is for namespaced kinds only", rule.Resource)
		}
		if s.spaces, err = metav1.LabelSelectorAsSelector(rule.NamespaceSelector); err != nil {
			return s, fmt.Errorf("%s: %w", rule.Resource, err)
		}
	}
	if !r.Namespaced {
		s.namespace = ""
	}
	return s, nil
}

// selects an object of the rule's resource; spaces are the labels of all
// namespaces.
func (s selection) selects(o *Object, spaces map[string]labels.Set) bool {
	return s.labels.Matches(labels.Set(o.GetLabels())) &&
		(s.namespace == "" || s.namespace == o.GetNamespace()) &&
		(len(s.names) == 0 || slices.Contains(s.names, o.GetName())) &&
		(s.spaces == nil || s.spaces.Matches(spaces[o.GetNamespace()]))
}

// related collects the objects that the rules select. Each rule that was asked
// has its key, also if nothing matched (MC 2.2).
func (d *Driver) related(rules []selection, view *caches, lag Lag) (groups, error) {
	found := groups{}
	spaces, err := namespaces(rules, view)
	if err != nil {
		return nil, err
	}
	for _, rule := range rules {
		outer := groupKind(rule.resource.APIVersion, rule.resource.Kind)
		if found[outer] == nil {
			found[outer] = map[string]*Object{}
		}
		view.relate(rule.resource)
		objects, err := view.list(rule.resource, d.lagOf(rule.resource, lag))
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			if rule.selects(o, spaces) {
				found.put(o)
			}
		}
	}
	return found, nil
}

// namespaceResource is served everywhere.
func namespaceResource() Resource {
	return Resource{"v1", "namespaces", "Namespace", false, true, false}
}

// namespaces reads the labels of all namespaces if some rule needs them.
func namespaces(rules []selection, view *caches) (map[string]labels.Set, error) {
	if !slices.ContainsFunc(rules, func(s selection) bool { return s.spaces != nil }) {
		return nil, nil
	}
	objects, err := view.list(namespaceResource(), 0)
	if err != nil {
		return nil, err
	}
	spaces := make(map[string]labels.Set, len(objects))
	for _, o := range objects {
		spaces[o.GetName()] = o.GetLabels()
	}
	return spaces, nil
}

// lagOf tells how far behind the one informer of a resource is.
func (d *Driver) lagOf(r Resource, lag Lag) int {
	switch {
	case r.id() == d.parent.id():
		return lag.Parent
	case slices.ContainsFunc(d.children, func(child Resource) bool { return r.id() == child.id() }):
		return lag.Children
	}
	return lag.Related
}

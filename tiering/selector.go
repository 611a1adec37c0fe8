package tiering

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volumeSelector compiles a selector that, when missing or empty, selects all.
func (c *compiler) volumeSelector(name string, s *metav1.LabelSelector) labels.Selector {
	if empty(s) {
		return labels.Everything()
	}
	return c.selector(name, s)
}

// poolSelector compiles a selector that, when missing or empty, selects no
// pool: a forgotten line must not make every pool a target.
func (c *compiler) poolSelector(name string, s *metav1.LabelSelector) labels.Selector {
	if empty(s) {
		return labels.Nothing()
	}
	return c.selector(name, s)
}

// aliased compiles the one selector that is set of a field and its former name.
func (c *compiler) aliased(name string, s *metav1.LabelSelector, former string, t *metav1.LabelSelector) labels.Selector {
	switch {
	case s != nil && t != nil:
		c.fault(former, "is another name of %s, and both are set; keep %s only", name, name)
		return labels.Nothing()
	case t != nil:
		return c.poolSelector(former, t)
	}
	return c.poolSelector(name, s)
}

// selector compiles requirement by requirement, where apimachinery's own
// conversion would stop at the first fault.
func (c *compiler) selector(name string, s *metav1.LabelSelector) labels.Selector {
	compiled := labels.NewSelector()
	add := func(at, key string, op selection.Operator, values []string) {
		r, err := labels.NewRequirement(key, op, values, field.WithPath(field.NewPath("spec", name, at)))
		if err != nil {
			c.fault(name+"."+at, "has a requirement on key %q that is not valid; correct it: %s", key, err)
			return
		}
		compiled = compiled.Add(*r)
	}
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		add("matchLabels", key, selection.Equals, []string{s.MatchLabels[key]})
	}
	for _, e := range s.MatchExpressions {
		var op selection.Operator
		switch e.Operator {
		case metav1.LabelSelectorOpIn:
			op = selection.In
		case metav1.LabelSelectorOpNotIn:
			op = selection.NotIn
		case metav1.LabelSelectorOpExists:
			op = selection.Exists
		case metav1.LabelSelectorOpDoesNotExist:
			op = selection.DoesNotExist
		default:
			c.fault(name+".matchExpressions", "has the operator %q on key %q; write In, NotIn, Exists or DoesNotExist", string(e.Operator), e.Key)
			continue
		}
		add("matchExpressions", e.Key, op, slices.Clone(e.Values))
	}
	return compiled
}

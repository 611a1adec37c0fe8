package driver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/json"
)

const (
	// selectorLabel marks children under generateSelector (MC 3.2).
	selectorLabel = "controller-uid"
	// lastApplied holds a child as it was asked for (MC 3.5).
	lastApplied = "metacontroller.k8s.io/last-applied-configuration"
)

// childSelector selects the children of the parent by label.
func (d *Driver) childSelector(parent *Object) (labels.Selector, error) {
	if d.controller.spec.GenerateSelector {
		return labels.SelectorFromSet(labels.Set{selectorLabel: string(parent.GetUID())}), nil
	}
	spec, _ := parent.Object["spec"].(map[string]any)
	text, err := json.Marshal(spec["selector"])
	if err != nil {
		return nil, err
	}
	var given metav1.LabelSelector
	if err := json.Unmarshal(text, &given); err != nil {
		return nil, fmt.Errorf("spec.selector: %w", err)
	}
	selector, err := metav1.LabelSelectorAsSelector(&given)
	if err != nil {
		return nil, fmt.Errorf("spec.selector: %w", err)
	}
	if selector.Empty() {
		return nil, errors.New("spec.selector is empty and generateSelector is off")
	}
	return selector, nil
}

// claim finds the children in the caches, adopts ownerless ones whose label
// matches and releases owned ones whose label does not (MC 3.2). Each child
// rule has its key.
func (d *Driver) claim(ctx context.Context, parent *Object, selector labels.Selector, view *caches, lag Lag) (groups, error) {
	claimed := groups{}
	var faults []error
	for _, r := range d.children {
		claimed[groupKind(r.APIVersion, r.Kind)] = map[string]*Object{}
		candidates, err := view.list(r, lag.Children)
		if err != nil {
			return nil, err
		}
		for _, o := range candidates {
			matches := selector.Matches(labels.Set(o.GetLabels()))
			switch owner := controllerOf(o); {
			case owner == parent.GetUID() && matches:
				claimed.put(o)
			case owner == parent.GetUID():
				if parent.GetDeletionTimestamp() == nil {
					faults = append(faults, d.releaseChild(ctx, parent, o))
				}
			case owner == "" && matches && parent.GetDeletionTimestamp() == nil && o.GetDeletionTimestamp() == nil:
				adopted, err := d.adopt(ctx, parent, o)
				if adopted != nil {
					claimed.put(adopted)
				}
				faults = append(faults, err)
			}
		}
	}
	return claimed, errors.Join(faults...)
}

func (d *Driver) adopt(ctx context.Context, parent, child *Object) (*Object, error) {
	live, err := d.cluster.Get(ctx, RefOf(parent))
	if err != nil || live.GetUID() != parent.GetUID() || live.GetDeletionTimestamp() != nil {
		return nil, fmt.Errorf("can't adopt %s: the parent is gone or being deleted", RefOf(child))
	}
	adopted, err := d.edit(ctx, RefOf(child), child.GetUID(), d.cluster.Update, func(o *Object) bool {
		dropOwner(o, parent.GetUID()) // a stale cache may not know that it is there
		o.SetOwnerReferences(append(o.GetOwnerReferences(), d.ownerReference(parent)))
		return true
	})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("adopt %s: %w", RefOf(child), err)
	}
	d.count(func(c *Counters) { c.Adopted++ })
	return adopted, nil
}

func (d *Driver) releaseChild(ctx context.Context, parent, child *Object) error {
	_, err := d.edit(ctx, RefOf(child), child.GetUID(), d.cluster.Update, func(o *Object) bool {
		dropOwner(o, parent.GetUID())
		return true
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("release %s: %w", RefOf(child), err)
	}
	d.count(func(c *Counters) { c.Released++ })
	return nil
}

func (d *Driver) ownerReference(parent *Object) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: parent.GetAPIVersion(), Kind: parent.GetKind(),
		Name: parent.GetName(), UID: parent.GetUID(),
		Controller: new(true), BlockOwnerDeletion: new(true),
	}
}

// label gives each wanted child the label of generateSelector where it lacks
// the key; a child that the selector then does not match fails the sync before
// any child is touched (MC 3.1, 3.2).
func (d *Driver) label(parent *Object, selector labels.Selector, wanted []*Object) error {
	for _, child := range wanted {
		set := child.GetLabels()
		if _, found := set[selectorLabel]; d.controller.spec.GenerateSelector && !found {
			if set == nil {
				set = map[string]string{}
			}
			set[selectorLabel] = string(parent.GetUID())
			child.SetLabels(set)
		}
		if !selector.Matches(labels.Set(set)) {
			return fmt.Errorf("labels on child %s don't match the selector %s of the parent", RefOf(child), selector)
		}
	}
	return nil
}

// manage makes the children what the hook wants: the undesired go, the missing
// come, the others are left alone whatever they look like (OnDelete, MC 3.4).
// One failure does not keep the rest from being done.
func (d *Driver) manage(ctx context.Context, parent *Object, observed groups, wanted []*Object, done *Sync) error {
	desired := map[string]map[string]*Object{}
	for _, child := range wanted {
		outer := groupKind(child.GetAPIVersion(), child.GetKind())
		if desired[outer] == nil {
			desired[outer] = map[string]*Object{}
		}
		desired[outer][key(child.GetNamespace(), child.GetName())] = child // the last of a name wins (MC 2.3)
	}
	var faults []error
	for _, outer := range slices.Sorted(maps.Keys(observed)) {
		for _, inner := range slices.Sorted(maps.Keys(observed[outer])) {
			if child := observed[outer][inner]; desired[outer][inner] == nil && child.GetDeletionTimestamp() == nil {
				faults = append(faults, d.deleteChild(ctx, child, inner, done))
			}
		}
	}
	for _, outer := range slices.Sorted(maps.Keys(desired)) {
		for _, inner := range slices.Sorted(maps.Keys(desired[outer])) {
			if observed[outer][inner] == nil {
				faults = append(faults, d.createChild(ctx, parent, desired[outer][inner], inner, done))
			}
		}
	}
	return errors.Join(faults...)
}

func (d *Driver) deleteChild(ctx context.Context, child *Object, name string, done *Sync) error {
	err := d.cluster.Delete(ctx, RefOf(child), Deletion{UID: child.GetUID(), Propagation: metav1.DeletePropagationBackground})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete %s: %w", RefOf(child), err)
	}
	done.Deleted = append(done.Deleted, name)
	d.count(func(c *Counters) { c.Deletes++ })
	return nil
}

func (d *Driver) createChild(ctx context.Context, parent, child *Object, name string, done *Sync) error {
	if name == "" || child.GetName() == "" && child.GetGenerateName() == "" {
		return fmt.Errorf("create %s: the child has no name", child.GetKind())
	}
	text, err := json.Marshal(child.Object)
	if err != nil {
		return fmt.Errorf("create %s: %w", RefOf(child), err)
	}
	created := child.DeepCopy()
	annotations := created.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[lastApplied] = string(text)
	created.SetAnnotations(annotations)
	created.SetOwnerReferences(append(created.GetOwnerReferences(), d.ownerReference(parent)))
	_, err = d.cluster.Create(ctx, created)
	if apierrors.IsAlreadyExists(err) {
		d.count(func(c *Counters) { c.Existed++ })
		return nil // swallowed, also for a foreign object of that name (MC 3.5)
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", RefOf(child), err)
	}
	done.Created = append(done.Created, name)
	d.count(func(c *Counters) { c.Creates++ })
	return nil
}

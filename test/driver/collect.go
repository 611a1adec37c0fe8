package driver

import (
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Deletion says how an object is deleted.
type Deletion struct {
	// UID, if set, must be that of the live object, else Conflict.
	UID types.UID
	// Propagation decides over dependents; empty means Background, but Orphan
	// for Jobs (MC 3.3).
	Propagation metav1.DeletionPropagation
}

// Delete removes the object, or marks it while finalizers hold it. Marking
// counts as a generation (MC 4.2).
func (a *API) Delete(ref Ref, how Deletion) error {
	_, err := a.write(func() (*Object, error) {
		r, o, err := a.get(ref)
		if err != nil {
			return nil, err
		}
		if how.UID != "" && how.UID != o.GetUID() {
			return nil, apierrors.NewConflict(r.groupResource(), o.GetName(),
				fmt.Errorf("precondition failed: uid in precondition: %s, uid in object meta: %s", how.UID, o.GetUID()))
		}
		a.delete(r, o, how.Propagation)
		return nil, nil
	})
	return err
}

func (a *API) delete(r Resource, o *Object, propagation metav1.DeletionPropagation) {
	if propagation == "" && r.id() == "batch/v1/jobs" {
		propagation = metav1.DeletePropagationOrphan
	}
	marked := o.DeepCopy()
	for finalizer, wanted := range map[string]bool{
		metav1.FinalizerDeleteDependents: propagation == metav1.DeletePropagationForeground,
		metav1.FinalizerOrphanDependents: propagation == metav1.DeletePropagationOrphan,
	} {
		if wanted && !hasFinalizer(marked, finalizer) {
			marked.SetFinalizers(append(marked.GetFinalizers(), finalizer))
		}
	}
	if len(marked.GetFinalizers()) == 0 {
		a.remove(r, o)
		return
	}
	if marked.GetDeletionTimestamp() == nil {
		marked.SetDeletionTimestamp(new(metav1.NewTime(time.Now().UTC().Truncate(time.Second))))
		marked.SetDeletionGracePeriodSeconds(new(int64(0)))
		if r.Generation {
			marked.SetGeneration(marked.GetGeneration() + 1)
		}
	} else if slices.Equal(marked.GetFinalizers(), o.GetFinalizers()) {
		return
	}
	a.store(r, o, marked)
}

// collect is the garbage collector. The real one comes a moment later; this
// one is done before the verb returns, which makes tests repeatable.
func (a *API) collect() {
	for a.collectOne() {
	}
}

// tended is an object that may need the garbage collector.
type tended struct {
	resource Resource
	object   *Object
}

func (a *API) tend(r Resource, o *Object) {
	delete(a.tended, o.GetUID())
	if len(o.GetOwnerReferences()) > 0 || o.GetDeletionTimestamp() != nil {
		a.tended[o.GetUID()] = tended{r, o}
	}
}

// collectOne makes one step and says whether there may be another.
func (a *API) collectOne() bool {
	for _, uid := range slices.Sorted(maps.Keys(a.tended)) {
		r, o := a.tended[uid].resource, a.tended[uid].object
		switch deleting := o.GetDeletionTimestamp() != nil; {
		case !deleting && a.unowned(o):
			a.delete(r, o, metav1.DeletePropagationBackground)
		case !deleting && a.blocksForeground(o):
			// A dependent that has dependents of its own goes the same way.
			propagation := metav1.DeletePropagationBackground
			if len(a.dependents(o, false)) > 0 {
				propagation = metav1.DeletePropagationForeground
			}
			a.delete(r, o, propagation)
		case deleting && hasFinalizer(o, metav1.FinalizerOrphanDependents):
			for _, dependent := range a.dependents(o, false) {
				a.disown(dependent, o.GetUID())
			}
			a.release(r, o, metav1.FinalizerOrphanDependents)
		case deleting && hasFinalizer(o, metav1.FinalizerDeleteDependents) && len(a.dependents(o, true)) == 0:
			a.release(r, o, metav1.FinalizerDeleteDependents)
		default:
			continue
		}
		return true
	}
	return false
}

// unowned: the object had owners and all of them are gone.
func (a *API) unowned(o *Object) bool {
	owners := o.GetOwnerReferences()
	return len(owners) > 0 && !slices.ContainsFunc(owners, func(ref metav1.OwnerReference) bool {
		return a.live[ref.UID] != nil
	})
}

// blocksForeground: an owner under foreground deletion waits for the object.
func (a *API) blocksForeground(o *Object) bool {
	return slices.ContainsFunc(o.GetOwnerReferences(), func(ref metav1.OwnerReference) bool {
		owner := a.live[ref.UID]
		return owner != nil && owner.GetDeletionTimestamp() != nil && hasFinalizer(owner, metav1.FinalizerDeleteDependents)
	})
}

// dependents of the object; with blocking only those it has to wait for.
func (a *API) dependents(owner *Object, blocking bool) []*Object {
	var found []*Object
	for _, uid := range slices.Sorted(maps.Keys(a.tended)) {
		o := a.tended[uid].object
		for _, ref := range o.GetOwnerReferences() {
			if ref.UID == owner.GetUID() && (!blocking || ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion) {
				found = append(found, o)
			}
		}
	}
	return found
}

func (a *API) disown(o *Object, owner types.UID) {
	r, old, err := a.get(RefOf(o))
	if err != nil {
		return
	}
	next := old.DeepCopy()
	dropOwner(next, owner)
	a.store(r, old, next)
}

func (a *API) release(r Resource, o *Object, finalizer string) {
	next := o.DeepCopy()
	dropFinalizer(next, finalizer)
	if len(next.GetFinalizers()) == 0 {
		a.remove(r, o)
		return
	}
	a.store(r, o, next)
}

func dropOwner(o *Object, owner types.UID) {
	rest := slices.DeleteFunc(o.GetOwnerReferences(), func(ref metav1.OwnerReference) bool { return ref.UID == owner })
	if len(rest) == 0 {
		rest = nil
	}
	o.SetOwnerReferences(rest)
}

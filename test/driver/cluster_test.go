package driver

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// contended is an API in which somebody else always wrote first.
type contended struct {
	memory
	refused int
}

func (c *contended) Update(_ context.Context, o *Object) (*Object, error) {
	c.refused++
	return nil, apierrors.NewConflict(groupResource(RefOf(o)), o.GetName(), errors.New("somebody wrote"))
}

func TestAFinalizerThatCannotBeWrittenFailsTheSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.put(gold)
		c := &contended{memory: memory{r.api}}
		r.d.cluster = c
		if err := r.fails(); !apierrors.IsConflict(err) {
			t.Errorf("got %v, want the conflict", err)
		}
		if c.refused != 4 {
			t.Errorf("tried %d times, want 4", c.refused)
		}
		// client-go's retry takes this for success without a result.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.d.sync(ctx, "gold"); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want that the context ended", err)
		}
		if len(r.calls) != 0 {
			t.Errorf("%v were called, want no hook before the finalizer is on", r.calls)
		}
	})
}

func TestAParentThatIsGoneUnknownToTheCacheFailsTheSync(t *testing.T) {
	r := newRig(t)
	r.put(gold)
	if _, err := r.d.view().list(r.d.parent, 0); err != nil {
		t.Fatal(err)
	}
	r.d.SetLag(Lag{Parent: 9})
	if err := r.api.Delete(RefOf(r.policy()), Deletion{}); err != nil {
		t.Fatal(err)
	}
	if err := r.fails(); !apierrors.IsNotFound(err) {
		t.Errorf("got %v, want that it is not found", err)
	}
	r.d.SetLag(Lag{})
	if s := r.sync(); s.Called {
		t.Error("a hook was asked about a parent that is gone")
	}
}

func TestAKindThatNoRuleAskedForAsksNoHook(t *testing.T) {
	r := newRig(t)
	r.put(gold)
	pod := r.put(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","namespace":"x"}}`)
	resource, err := r.api.byKind("v1", "Pod")
	if err != nil {
		t.Fatal(err)
	}
	if names := r.d.triggered(t.Context(), Change{Resource: resource, New: pod}); len(names) != 0 || len(r.calls) != 0 {
		t.Errorf("triggers %v after calls of %v, want neither", names, r.calls)
	}
}

package hooks

import (
	"fmt"
	"testing"
	"time"

	"github.com/billyronks/couchestor/tiering"
)

func TestAPolicyIsCompiledOnceUntilAnythingOfItChanges(t *testing.T) {
	h := newRig(t).hooks
	compile := func(p parent) *tiering.Policy {
		t.Helper()
		policy, faults := h.compiled(&p)
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		return policy
	}
	base := parent{Name: "db", UID: "u", Generation: 3, Created: noon, Spec: []byte(`{"priority":1}`)}
	first := compile(base)
	again := base
	again.Spec = []byte(`{"priority":1}`)
	again.Approve, again.Deleting, again.Status = "digest", true, []byte(`{}`)
	if compile(again) != first {
		t.Error("the same spec was compiled again")
	}
	for name, change := range map[string]func(*parent){
		"spec":       func(p *parent) { p.Spec = []byte(`{"priority":2}`) },
		"no spec":    func(p *parent) { p.Spec = nil },
		"generation": func(p *parent) { p.Generation++ },
		"uid":        func(p *parent) { p.UID = "v" },
		"created":    func(p *parent) { p.Created = noon.Add(time.Second) },
		"name":       func(p *parent) { p.Name = "other" },
	} {
		p := base
		change(&p)
		want, _ := h.compile(&p)
		got := compile(p)
		if got.Name != want.Name || got.UID != want.UID || got.Generation != want.Generation || !got.Created.Equal(want.Created) || got.Rules.Digest() != want.Rules.Digest() {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestAPolicyWithFaultsSaysSoEachTime(t *testing.T) {
	h := newRig(t).hooks
	compile := func(spec string) bool {
		_, faults := h.compiled(&parent{Name: "db", UID: "u", Generation: 3, Spec: []byte(spec)})
		return len(faults) == 0
	}
	for i, spec := range []string{`{}`, `{"priority":"high"}`, `{"priority":"high"}`, `{"samplingWindow":"0h"}`, `{}`} {
		if got, want := compile(spec), spec == `{}`; got != want {
			t.Errorf("look %d at %s: it compiles: %v, want %v", i, spec, got, want)
		}
	}
}

func TestPoliciesThatAreGoneAreForgotten(t *testing.T) {
	r := newAPIRig(t)
	for i := range 50 {
		name := fmt.Sprintf("p%02d", i)
		r.policies[name] = newPolicy(name, name)
	}
	r.ask(t)
	if n := len(r.hooks.policies.known); n != 51 {
		t.Errorf("got %d policies remembered, want 51", n)
	}
	first := r.hooks.policies.last.arranged
	r.volume(2)
	r.ask(t)
	if r.hooks.policies.last.arranged != first {
		t.Error("the policies were arranged again for another volume")
	}
	for i := range 50 {
		delete(r.policies, fmt.Sprintf("p%02d", i))
	}
	r.ask(t)
	if n := len(r.hooks.policies.known); n != 1 {
		t.Errorf("got %d policies remembered, want the one that is left", n)
	}
}

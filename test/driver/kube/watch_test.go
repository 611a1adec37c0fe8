package kube

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/test/driver"
)

// heard notes what a watcher is told: "began a b", "x: 1 -> 2".
type heard struct{ lines []string }

func (h *heard) Begin(objects []*driver.Object) {
	names := []string{"began"}
	for _, o := range objects {
		names = append(names, o.GetName())
	}
	h.lines = append(h.lines, strings.Join(names, " "))
}

func (h *heard) Changed(c driver.Change) {
	version := func(o *driver.Object) string {
		if o == nil {
			return "none"
		}
		return o.GetResourceVersion()
	}
	o := c.New
	if o == nil {
		o = c.Old
	}
	h.lines = append(h.lines, o.GetName()+": "+version(c.Old)+" -> "+version(c.New))
}

func named(name, version string) any {
	o := new(driver.Object)
	o.SetName(name)
	o.SetResourceVersion(version)
	return o
}

func TestAWatcherIsToldOfChangesOnly(t *testing.T) {
	for name, test := range map[string]struct {
		events func(*told) []error
		want   []string
	}{
		"the first list is no change": {
			func(s *told) []error { return []error{s.Replace([]any{named("a", "1")}, "")} },
			[]string{"began a"},
		},
		"an empty list is one, too": {
			func(s *told) []error { return []error{s.Replace(nil, ""), s.Add(named("a", "1"))} },
			[]string{"began", "a: none -> 1"},
		},
		"an object comes, changes and goes": {
			func(s *told) []error {
				return []error{s.Replace(nil, ""), s.Add(named("a", "1")), s.Update(named("a", "2")), s.Delete(named("a", "3"))}
			},
			[]string{"began", "a: none -> 1", "a: 1 -> 2", "a: 3 -> none"},
		},
		"the list after a gap tells of what was missed": {
			func(s *told) []error {
				return []error{
					s.Replace([]any{named("gone", "1"), named("changed", "2"), named("same", "3")}, ""),
					s.Replace([]any{named("changed", "4"), named("same", "3"), named("new", "5")}, ""),
				}
			},
			[]string{"began gone changed same", "gone: 1 -> none", "changed: 2 -> 4", "new: none -> 5"},
		},
		"an event of what is known is none": {
			func(s *told) []error {
				return []error{s.Replace([]any{named("a", "1")}, ""), s.Update(named("a", "1"))}
			},
			[]string{"began a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := new(heard)
			for _, err := range test.events(&told{watcher: h}) {
				if err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(h.lines, test.want); diff != "" {
				t.Errorf("told, got before want:\n%s", diff)
			}
		})
	}
}

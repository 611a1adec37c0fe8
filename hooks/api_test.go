package hooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// apiRig is a rig whose service reads Kubernetes itself: the request has only the
// policy and its Jobs, and the rest of the scene is shown by kube.
type apiRig struct {
	*rig
	kube *kube
	// related is what the request says is related, if that is not nothing.
	related any
}

func newAPIRig(t *testing.T) *apiRig {
	t.Helper()
	k := newKube()
	r := &apiRig{rig: newRig(t, func(c *Config) { c.Cluster = k }), kube: k, related: object{}}
	return r
}

func (r *apiRig) ask(t *testing.T) reply {
	t.Helper()
	for kind, objects := range map[Kind]map[string]object{Volumes: r.volumes, Claims: r.claims, Policies: r.policies, Jobs: r.jobs, DiskPools: r.diskPools} {
		r.kube.show(t, kind, raw(objects))
	}
	tree := r.tree()
	tree["related"] = r.related
	if r.related == nil {
		delete(tree, "related")
	}
	hook := "sync"
	if r.finalizing {
		hook = "finalize"
	}
	return r.post(t, hook, []byte(text(tree)))
}

func TestReadingKubernetesItselfAsksForNothing(t *testing.T) {
	r := newAPIRig(t)
	a := r.post(t, "customize", []byte(`{"parent":{"metadata":{"name":"db"}}}`))
	if got := strings.TrimSpace(string(a.body)); a.code != http.StatusOK || got != `{"relatedResources":[]}` {
		t.Errorf("got %d %s, want an empty list", a.code, got)
	}
}

func TestAfterTheSwitchToReadingItselfWhatIsStillSentIsNotLookedAt(t *testing.T) {
	other := newScene()
	for i := 20; i < 30; i++ {
		other.volume(i)
		other.run(i, 1)
	}
	other.policies["rival"] = newPolicy("rival", "r")
	old := other.tree()["related"]
	r := newAPIRig(t)
	r.volume(2)
	r.run(2, 4)
	want := r.ask(t)
	wantNames(t, "the view counts", want, nameJob(uuid(1), 1)+"+", nameJob(uuid(2), 4))
	for name, related := range map[string]any{
		"what an older customize answer asked for": old,
		"a part of it":      object{volumesKey: object{}},
		"null":              json.RawMessage("null"),
		"nothing":           nil,
		"what is no object": []any{1, "x"},
		"a volume twice":    object{volumesKey: object{"a": other.volumes["pvc-"+uuid(20)], "b": other.volumes["pvc-"+uuid(20)]}},
	} {
		r.related = related
		if got := r.ask(t); got.code != http.StatusOK || !bytes.Equal(got.body, want.body) {
			t.Errorf("%s: got %d\n%s\nwant\n%s", name, got.code, got.body, want.body)
		}
	}
	r.related = json.RawMessage(`{"PersistentVolume.v1":{}`)
	body := []byte(strings.Replace(text(newRig(t).tree()), `"related":{`, `"related":{{`, 1))
	if got := r.post(t, "sync", body); got.code != http.StatusBadRequest {
		t.Errorf("what is no JSON: got %d, want 400", got.code)
	}
}

func TestAfterTheSwitchBackNothingIsAnsweredUntilObjectsAreSent(t *testing.T) {
	r := newRig(t)
	r.run(1, 1)
	tree := r.tree()
	tree["related"] = object{}
	for _, hook := range []string{"sync", "finalize"} {
		a := r.post(t, hook, []byte(text(tree)))
		if a.code != http.StatusServiceUnavailable || !strings.Contains(string(a.body), "older customize answer, which it forgets after 20 minutes") || !strings.Contains(string(a.body), "restart Metacontroller") {
			t.Errorf("%s: got %d %s, want 503 that says how long and what to do", hook, a.code, a.body)
		}
	}
	wantNames(t, "once they are sent", r.sync(t), nameJob(uuid(1), 1))
}

func TestBadRequestIsRefusedAlsoWhereKubernetesIsReadHere(t *testing.T) {
	for name, c := range badRequests(t) {
		if c.status == http.StatusServiceUnavailable || strings.HasPrefix(name, "a volume") || name == "a name of 5 MiB" || strings.Contains(name, "related") || strings.Contains(name, "label") {
			continue // is about what is related
		}
		r := newAPIRig(t)
		r.ask(t)
		if a := r.post(t, "sync", []byte(c.body)); a.code != c.status {
			t.Errorf("%s: got %d %s, want %d", name, a.code, a.body, c.status)
		}
	}
}

func TestBeforeTheFirstViewNothingIsAnswered(t *testing.T) {
	r := newAPIRig(t)
	r.run(1, 1)
	r.kube.unread = true
	r.kube.source = tiering.Source{Reason: "Unauthorized", Message: "Kubernetes does not let this service list jobs."}
	for _, finalizing := range []bool{false, true} {
		r.finalizing = finalizing
		a := r.ask(t)
		if a.code != http.StatusServiceUnavailable || strings.Count(string(a.body), "\n") != 1 || !strings.Contains(string(a.body), "does not let this service list jobs; nothing was done, Jobs stay") {
			t.Errorf("finalizing %v: got %d %s, want 503 with the reason", finalizing, a.code, a.body)
		}
	}
}

func TestByAViewThatIsTooOldJobsStayAndNothingStarts(t *testing.T) {
	r := newAPIRig(t)
	// 1 wants to move, 2 is being moved, 3 is unclean.
	r.policy.at("spec")["maxConcurrentMigrations"] = 3
	r.volume(2)
	r.run(2, 4)
	r.volume(3)
	r.place(3, "cold-1", "cold-2")
	r.remember(3, attempt(2, mayastor.Started, noon.Add(-time.Hour)))
	fresh := r.ask(t)
	wantNames(t, "a fresh view", fresh, nameJob(uuid(1), 1)+"+", nameJob(uuid(2), 4), nameJob(uuid(3), 3)+"+")
	if got := fresh.condition("KubernetesAvailable"); got != "" {
		t.Errorf("got condition %q by a fresh view, want none", got)
	}

	r.kube.source = tiering.Source{Reason: "Unreachable", Message: "Kubernetes cannot be reached."}
	a := r.ask(t)
	wantNames(t, "a view that is too old", a, nameJob(uuid(2), 4))
	if got := a.condition("KubernetesAvailable"); got != "False Unreachable" {
		t.Errorf("got condition %q, want False Unreachable", got)
	}
	if got := a.condition("Ready"); got != "False KubernetesUnavailable" {
		t.Errorf("got Ready %q, want False KubernetesUnavailable", got)
	}
	if got := a.held(1); !strings.HasPrefix(got, "Hold calm: ") || !strings.Contains(got, "too old to act on") {
		t.Errorf("got %q, want that the gate calm holds", got)
	}
	if !bytes.Equal(a.body, r.ask(t).body) {
		t.Error("the same view gives other bytes")
	}

	r.policy.at("spec")["minCoverage"] = 1
	wantNames(t, "a policy with faults", r.ask(t), nameJob(uuid(2), 4))
	delete(r.policy.at("spec"), "minCoverage")

	r.kube.source.OK = true
	if got := r.ask(t); !bytes.Equal(got.body, fresh.body) {
		t.Errorf("fresh again: got\n%s\nwant\n%s", got.body, fresh.body)
	}
}

func TestByAViewThatIsTooOldNoPolicyIsLetGo(t *testing.T) {
	r := newAPIRig(t)
	r.finalizing = true
	j := r.run(1, 1)
	report(j, moved(1))
	ended(j, "Complete", "CompletionsReached", noon)
	r.kube.source.OK = false
	a := r.ask(t)
	wantNames(t, "its Jobs stay", a, nameJob(uuid(1), 1))
	wantFinalized(t, a, false)
	clear(r.children)
	clear(r.jobs)
	a = r.ask(t)
	wantNames(t, "nothing is left", a)
	wantFinalized(t, a, false)
	r.kube.source.OK = true
	wantFinalized(t, r.ask(t), true)
}

func TestRunningJobIsReturnedByAnyViewWhateverElseFails(t *testing.T) {
	for name, breakIt := range breakages() {
		for _, old := range []bool{false, true} {
			r := newAPIRig(t)
			r.run(1, 7)
			breakIt(r.rig)
			r.hooks.config.Cluster = r.kube
			r.kube.source.OK = !old
			a := r.ask(t)
			if a.code != http.StatusOK || !slices.Contains(a.names(), nameJob(uuid(1), 7)) {
				t.Errorf("%s, too old %v: got %d %v, want the running Job among the children", name, old, a.code, a.names())
			}
			if old && slices.ContainsFunc(a.names(), func(n string) bool { return strings.HasSuffix(n, "+") }) {
				t.Errorf("%s, too old: got %v, want that nothing starts", name, a.names())
			}
			if old {
				wantFinalized(t, a, false)
			}
		}
	}
}

func TestJobThatOnlyTheViewOrOnlyTheRequestShowsCounts(t *testing.T) {
	for name, forget := range map[string]func(*apiRig){
		"the view is late":    func(r *apiRig) { clear(r.jobs) },
		"the request is late": func(r *apiRig) { clear(r.children) },
	} {
		r := newAPIRig(t)
		r.run(1, 4)
		forget(r)
		for _, child := range r.ask(t).names() {
			if strings.HasSuffix(child, "+") {
				t.Errorf("%s: %s is started beside the live Job", name, child)
			}
		}
		// Its number is passed over once it ended, also by whoever sees it alone.
		r = newAPIRig(t)
		j := r.run(1, 4)
		ended(j, "Failed", "DeadlineExceeded", noon.Add(-48*time.Hour))
		r.status([]byte(`{"migrationHistory":[{"jobName":"` + nameJob(uuid(1), 4) + `","volumeName":"v","timestamp":"` + stamp(noon.Add(-48*time.Hour)) + `","triggerIOPS":1,"success":false,"outcome":"failed"}]}`))
		forget(r)
		if got := r.ask(t).names(); !slices.Contains(got, nameJob(uuid(1), 5)+"+") {
			t.Errorf("%s: got %v, want attempt 5", name, got)
		}
	}
}

func TestListsAndWatchesThatCannotBeRead(t *testing.T) {
	s := newScene()
	good := text(s.volume(1))
	list := `{"metadata":{"resourceVersion":"7","continue":"next"},"items":[` + good + `]}`
	version, next, err := ReadList(Volumes, strings.NewReader(list), func(Object) {})
	if version != "7" || next != "next" || err != nil {
		t.Fatalf("got %q, %q, %v", version, next, err)
	}
	if _, _, err := ReadList(Volumes, strings.NewReader(`{"metadata":{"resourceVersion":"7"},"items":null}`), func(Object) {}); err != nil {
		t.Errorf("an empty list: got %v", err)
	}
	for name, body := range map[string]string{
		"empty": "", "cut off": list[:len(list)-9], "no list": `{"kind":"Status"}`, "no version": `{"metadata":{},"items":[]}`,
		"an object without a name": strings.Replace(list, `"name":"pvc-`, `"nom":"pvc-`, 1), "two lists": list + list, "HTML": "<html>",
	} {
		if _, _, err := ReadList(Volumes, strings.NewReader(body), func(Object) {}); err == nil || strings.Contains(err.Error(), "request") {
			t.Errorf("list, %s: got %v, want an error that speaks of no request", name, err)
		}
	}
	event := `{"type":"ADDED","object":` + strings.Replace(good, `"resourceVersion":"48211"`, `"resourceVersion":"8"`, 1) + `}`
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"ends between events": {event, io.EOF},
		"ends at once":        {"\n", io.EOF},
		"breaks in an event":  {event + "\n" + event[:100], io.ErrUnexpectedEOF},
	} {
		events := ReadEvents(Volumes, iotest.OneByteReader(strings.NewReader(c.body)))
		var err error
		for err == nil {
			_, err = events.Next()
		}
		if err != c.want {
			t.Errorf("watch %s: got %v, want %v", name, err, c.want)
		}
	}
	events := ReadEvents(Volumes, io.MultiReader(strings.NewReader(event), iotest.ErrReader(context.Canceled)))
	_, err = events.Next()
	if _, again := events.Next(); err != nil || again != io.ErrUnexpectedEOF {
		t.Errorf("a connection that breaks: got %v, %v", err, again)
	}
	for name, body := range map[string]string{
		"an unknown type": `{"type":"CHANGED","object":{}}`, "no type": `{"object":{"metadata":{"name":"x","resourceVersion":"9"}}}`,
		"no version, object first": `{"object":{"metadata":{"name":"x"}},"type":"ADDED"}`, "two objects": `{"object":{},"type":"ERROR","object":{}}`,
		"an object that is none, first": `{"object":[],"type":"ADDED"}`, "no JSON, object first": `{"object":{]},"type":"ADDED"}`,
		"no version": `{"type":"ADDED","object":{"metadata":{"name":"x"}}}`, "no JSON": "}",
	} {
		if _, err := ReadEvents(Volumes, strings.NewReader(body)).Next(); err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("watch, %s: got %v, want an error that is no end", name, err)
		}
	}
	mark, err := ReadEvents(Jobs, strings.NewReader(`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}}}}`)).Next()
	if diff := cmp.Diff(Event{Type: "BOOKMARK", Version: "9", Initial: true}, mark); err != nil || diff != "" {
		t.Errorf("bookmark: %v -want +got\n%s", err, diff)
	}
	status, err := ReadEvents(Jobs, strings.NewReader(`{"type":"ERROR","object":{"code":410}}`)).Next()
	if err != nil || string(status.Status) != `{"code":410}` {
		t.Errorf("error: got %s, %v", status.Status, err)
	}
}

func TestEventIsReadTheSameWhicheverComesFirst(t *testing.T) {
	s := newScene()
	s.volume(1)
	s.remember(1, attempt(2, mayastor.Started, noon))
	s.volume(2).at("metadata", "labels")["app"] = "db"
	s.policy["status"] = object{"totalMigrations": 5}
	ended(s.run(1, 3), "Failed", "DeadlineExceeded", noon)
	s.diskPools["p"] = object{"metadata": object{"name": "p", "namespace": "mayastor", "labels": object{"tier": "hot"}}}
	ours := map[Kind]map[string]object{Volumes: s.volumes, Claims: s.claims, Policies: s.policies, Jobs: s.jobs, DiskPools: s.diskPools}
	for _, kind := range Kinds() {
		var typeFirst, objectFirst strings.Builder
		tell := func(event string, o any) {
			fmt.Fprintf(&typeFirst, "{\"type\":%q,\"object\":%s}\n", event, text(o))
			fmt.Fprintf(&objectFirst, "{\"new\":{},\"object\": %s ,\"type\":%q}", text(o), event)
		}
		for _, name := range sortedKeys(ours[kind]) {
			o := ours[kind][name]
			o.at("metadata")["resourceVersion"] = "7"
			tell("ADDED", o)
			tell("MODIFIED", o)
			tell("DELETED", o)
		}
		tell("BOOKMARK", object{"metadata": object{"resourceVersion": "9", "annotations": object{"k8s.io/initial-events-end": "true"}}})
		tell("ERROR", object{"kind": "Status", "code": 410})
		want := readAll(t, kind, strings.NewReader(typeFirst.String()))
		if len(want) < 5 {
			t.Fatalf("%s: got %d events, want 5 at least", kind, len(want))
		}
		for name, body := range map[string]io.Reader{
			"whole":        strings.NewReader(objectFirst.String()),
			"byte by byte": iotest.OneByteReader(strings.NewReader(objectFirst.String())),
		} {
			if diff := cmp.Diff(want, readAll(t, kind, body)); diff != "" {
				t.Errorf("%s, %s: -type first +object first\n%s", kind, name, diff)
			}
		}
	}
	cut := `{"object":{"metadata":{"name":"x","resourceVersion":"9"}},"type":"ADD`
	if _, err := ReadEvents(Jobs, strings.NewReader(cut)).Next(); err != io.ErrUnexpectedEOF {
		t.Errorf("a watch that breaks after the object: got %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

// readAll reads a watch to its end.
func readAll(t *testing.T, kind Kind, body io.Reader) (all []Event) {
	t.Helper()
	events := ReadEvents(kind, body)
	for {
		e, err := events.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%s, after %d events: %v", kind, len(all), err)
		}
		all = append(all, e)
	}
}

// turned is an event with its object first; false if it has not both members.
func turned(event []byte) ([]byte, bool) {
	var e map[string]json.RawMessage
	if err := json.Unmarshal(event, &e); err != nil || e["type"] == nil || e["object"] == nil {
		return nil, false
	}
	return fmt.Appendf(nil, `{"object":%s,"type":%s}`, e["object"], e["type"]), true
}

func FuzzReadEvents(f *testing.F) {
	s := newScene()
	f.Add([]byte(`{"type":"ADDED","object":` + text(s.volume(1)) + "}\n" + `{"type":"DELETED","object":` + text(s.volume(2)) + `}`))
	f.Add([]byte(`{"object":` + text(s.volume(3)) + `,"type":"ADDED"}` + `{"object":{"code":410},"type":"ERROR"}`))
	f.Add([]byte(`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"9"}}}`))
	f.Add([]byte(`{"type":"ERROR","object":{"code":410}}{}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, kind := range Kinds() {
			events := ReadEvents(kind, iotest.HalfReader(bytes.NewReader(body)))
			for {
				e, err := events.Next()
				if err != nil {
					if strings.Contains(err.Error(), "panic") {
						t.Fatal(err)
					}
					break
				}
				if e.Object == nil && e.Type != "BOOKMARK" && e.Type != "ERROR" {
					t.Fatalf("got %+v without an object", e)
				}
			}
			want, err := ReadEvents(kind, bytes.NewReader(body)).Next()
			if other, ok := turned(body); ok && err == nil {
				got, err := ReadEvents(kind, bytes.NewReader(other)).Next()
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Fatalf("%s: %v -as given +object first\n%s", other, err, diff)
				}
			}
			if _, _, err := ReadList(kind, bytes.NewReader(body), func(Object) {}); err != nil && strings.Contains(err.Error(), "panic") {
				t.Fatal(err)
			}
		}
	})
}

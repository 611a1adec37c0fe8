package hooks

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

func newBytesReader(b []byte) io.Reader { return bytes.NewReader(b) }

func TestDecode(t *testing.T) {
	s := newScene()
	s.finalizing = true
	s.policy["status"] = object{"phase": "Active", "watchedVolumes": 1}
	s.volume(1).at("metadata", "labels")["team"] = "a\"ü"
	s.remember(1, mayastor.Attempt{N: 7, Move: "m7", Policy: "db", State: mayastor.Moved, At: noon})
	s.volumes["pvc-"+uuid(1)].at("metadata", "annotations")[mayastor.LastMigrationAnnotation] = stamp(noon)
	s.volume(2).at("metadata")["deletionTimestamp"] = stamp(noon)
	s.volumes["nfs"] = object{"metadata": object{"name": "nfs"}, "spec": object{"nfs": object{"server": "x"}}}
	j := s.run(1, 8)
	ended(j, "Failed", "BackoffLimitExceeded", noon)
	other := newPolicy("logs", "uid-2")
	other["status"] = object{"phase": "Active"}
	s.policies["logs"] = other

	got, err := decodeScene(t, s.body())
	if err != nil {
		t.Fatal(err)
	}
	created := noon.Add(-30 * 24 * time.Hour)
	spec := json.RawMessage(`{"coldPoolSelector":{"matchLabels":{"tier":"cold"}},"hotPoolSelector":{"matchLabels":{"tier":"hot"}}}`)
	aJob := &job{
		Namespace: "couchestor-system", Name: nameJob(uuid(1), 8), UID: "job-1-8", Created: noon.Add(-10 * time.Minute),
		Labels:      map[string]string{selectorLabel: policyUID, PolicyLabel: "db", VolumeLabel: uuid(1), FromTierLabel: "cold", ToTierLabel: "hot"},
		Annotations: map[string]string{ScoreAnnotation: "6120.5", GenerationAnnotation: "3"},
		Ended:       condition{Type: "Failed", Reason: "BackoffLimitExceeded", Message: "Job has ended.", At: noon},
	}
	want := &request{
		Parent:     parent{Name: "db", UID: policyUID, Generation: 3, Created: created, Spec: spec, Status: json.RawMessage(`{"phase":"Active","watchedVolumes":1}`)},
		Finalizing: true,
		Children:   []*job{aJob},
		Related: &View{
			Jobs: []*job{aJob},
			Volumes: []*volume{{
				Name: "pvc-" + uuid(1), Labels: map[string]string{"team": "a\"ü"},
				Memory: &memory{Memory: tiering.Memory{
					Attempt:       tiering.Attempt{N: 7, Policy: "db", State: tiering.AttemptMoved, At: noon},
					LastMigration: noon, LastN: 7,
				}},
				StorageClass: "mayastor", Handle: uuid(1), Claim: reference{Namespace: "shop", Name: "data-1", UID: uuid(1)},
			}, {
				Name: "pvc-" + uuid(2), Deleting: true, Memory: new(memory),
				StorageClass: "mayastor", Handle: uuid(2), Claim: reference{Namespace: "shop", Name: "data-2", UID: uuid(2)},
			}},
			Claims: []*claim{
				{Namespace: "shop", Name: "data-1", UID: uuid(1), Labels: map[string]string{"app": "db"}},
				{Namespace: "shop", Name: "data-2", UID: uuid(2), Labels: map[string]string{"app": "db"}},
			},
			Policies: []*parent{
				{Name: "db", UID: policyUID, Generation: 3, Created: created, Spec: spec},
				{Name: "logs", UID: "uid-2", Generation: 3, Created: created, Spec: spec},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestDecodeDoesNotDependOnHowBytesArrive(t *testing.T) {
	body := crowd(40, true).body()
	want, err := decodeScene(t, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, reader := range map[string]io.Reader{
		"byte by byte": iotest.OneByteReader(bytes.NewReader(body)),
		"in halves":    iotest.HalfReader(bytes.NewReader(body)),
		"with the end": iotest.DataErrReader(bytes.NewReader(body)),
	} {
		d := newDecoder(reader)
		d.claims = true
		got, err := d.request(func(*parent) error { return nil })
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -whole +parts\n%s", name, diff)
		}
	}
}

func TestDecodeReadsOnlyWhatItNeeds(t *testing.T) {
	s := newScene()
	s.volume(1)
	want, err := decodeScene(t, s.body())
	if err != nil {
		t.Fatal(err)
	}
	tree := s.tree()
	tree["later"] = object{"parent": 1}
	tree.at("related")["Node.v1"] = object{"n": object{"metadata": 4}}
	s.volumes["pvc-"+uuid(1)].at("spec", "csi")["volumeAttributes"] = []any{1.5e9, nil, true, "x", object{"driver": 1}}
	got, err := decodeScene(t, []byte(text(tree)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-without +with what is not needed\n%s", diff)
	}
}

// badRequests are requests with one thing wrong each.
func badRequests(t testing.TB) map[string]struct {
	body   string
	status int
	says   string
} {
	t.Helper()
	s := newScene()
	s.volume(1)
	s.run(1, 1)
	good := string(s.body())
	swap := func(old, with string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("the request has no %s", old)
		}
		return strings.Replace(good, old, with, 1)
	}
	without := func(path ...string) string {
		tree := s.tree().clone()
		last := len(path) - 1
		delete(tree.at(path[:last]...), path[last])
		return text(tree)
	}
	const bad, internal, stale = http.StatusBadRequest, http.StatusInternalServerError, http.StatusServiceUnavailable
	return map[string]struct {
		body   string
		status int
		says   string
	}{
		"empty":                      {"", bad, "is empty"},
		"only spaces":                {" \n", bad, "cut off"},
		"truncated":                  {good[:len(good)-1], bad, "cut off"},
		"truncated in a string":      {good[:strings.Index(good, "pvc-")+6], bad, "cut off"},
		"not JSON":                   {"hello", bad, "not JSON"},
		"an array":                   {"[]", bad, "should be an object"},
		"null":                       {"null", bad, "should be an object"},
		"a string":                   {`"x"`, bad, "should be an object"},
		"two objects":                {good + good, bad, "something else"},
		"trailing garbage":           {good + "x", bad, "something else"},
		"single quotes":              {strings.ReplaceAll(good, `"`, `'`), bad, "not JSON"},
		"trailing comma":             {good[:len(good)-1] + ",}", bad, "after the comma"},
		"bad number":                 {swap(`"finalizing":false`, `"later":01,"finalizing":false`), bad, "not JSON"},
		"bad literal":                {swap(`"finalizing":false`, `"finalizing":falsy`), bad, "word false"},
		"bad escape":                 {swap(`"Bound"`, `"Bo\x"`), bad, "escape"},
		"control character":          {swap(`"Bound"`, "\"Bo\nund\""), bad, "control character"},
		"parent twice":               {swap(`"finalizing":false`, `"parent":{"metadata":{"name":"x"}},"finalizing":false`), bad, "twice"},
		"a field of the spec twice":  {swap(`"hotPoolSelector":`, `"coldPoolSelector":{},"hotPoolSelector":`), bad, "twice"},
		"a volume's name twice":      {swap(`"name":"pvc-`, `"name":"x","name":"pvc-`), bad, "twice"},
		"a label twice":              {swap(`"labels":{`, `"labels":{"app":"x","app":"y",`), bad, "twice"},
		"a volume twice":             {swap(`"pvc-`+uuid(1)+`":{`, `"other":{"metadata":{"name":"pvc-`+uuid(1)+`"},"spec":{"csi":{"driver":"`+csiDriver+`","volumeHandle":"u"}}},"pvc-`+uuid(1)+`":{`), bad, "twice"},
		"finalizing is a string":     {swap(`"finalizing":false`, `"finalizing":"false"`), bad, "true or false"},
		"a volume's name is 7":       {swap(`"name":"pvc-`+uuid(1)+`"`, `"name":7`), bad, "a string"},
		"labels are a list":          {swap(`"labels":{"app":"db"}`, `"labels":["app"]`), bad, "an object"},
		"a label is a number":        {swap(`"app":"db"`, `"app":1`), bad, "a string"},
		"generation is a fraction":   {swap(`"generation":3`, `"generation":3.5`), bad, "whole number"},
		"creation is no time":        {swap(`"creationTimestamp":"`, `"creationTimestamp":"yesterday `), bad, "a time"},
		"children are a list":        {swap(`"children":{`, `"children":[],"x":{`), bad, "an object"},
		"related are null":           {swap(`"related":{`, `"related":null,"x":{`), bad, "an object"},
		"a volume without a name":    {swap(`"name":"pvc-`+uuid(1)+`"`, `"nom":"x"`), bad, "no metadata.name"},
		"no parent":                  {without("parent"), bad, `no "parent"`},
		"no children":                {without("children"), bad, `no "children"`},
		"no related":                 {without("related"), bad, `no "related"`},
		"no finalizing":              {without("finalizing"), bad, `no "finalizing"`},
		"no Jobs among children":     {without("children", jobsKey), internal, "which Jobs run"},
		"children of another kind":   {swap(`"children":{`, `"children":{"Pod.v1":{"a/b":{}},`), internal, "Pod.v1"},
		"an old answer: no volumes":  {without("related", volumesKey), stale, volumesKey},
		"an old answer: no claims":   {without("related", claimsKey), stale, claimsKey},
		"an old answer: no Jobs":     {without("related", jobsKey), stale, jobsKey},
		"an old answer: no policies": {without("related", policiesKey), stale, policiesKey},
		"a name of 5 MiB":            {swap(`"name":"pvc-`, `"name":"`+strings.Repeat("x", 5<<20)+`pvc-`), bad, "4 MiB"},
		"too deep":                   {swap(`"finalizing":false`, `"later":`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)+`,"finalizing":false`), bad, "levels"},
	}
}

func TestBadRequestGetsOneLineThatSaysWhatWhyAndWhatToDo(t *testing.T) {
	for name, c := range badRequests(t) {
		t.Run(name, func(t *testing.T) {
			_, err := decodeScene(t, []byte(c.body))
			fault, ok := errors.AsType[*faultError](err)
			if !ok {
				t.Fatalf("got error %v, want a fault", err)
			}
			if fault.status != c.status {
				t.Errorf("got status %d, want %d", fault.status, c.status)
			}
			if !strings.Contains(fault.line, c.says) || !strings.Contains(fault.line, "; ") {
				t.Errorf("got %q, want it to say %q and what to do", fault.line, c.says)
			}
			if strings.ContainsAny(fault.line, "\n\r") || len(fault.line) > 400 {
				t.Errorf("got %q, want one short line", fault.line)
			}
		})
	}
}

func TestPresentAndEmptyRelatedObjectsAreNone(t *testing.T) {
	got, err := decodeScene(t, newScene().body())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(got.Related.Volumes) + len(got.Related.Claims) + len(got.Related.Jobs); n != 0 {
		t.Errorf("got %d related objects, want 0", n)
	}
}

func TestConditionsThatComeBeforeTheEndAreNotTheEnd(t *testing.T) {
	for _, kind := range []string{"SuccessCriteriaMet", "FailureTarget", "Suspended"} {
		s := newScene()
		j := s.run(1, 1)
		j["status"] = object{"conditions": []any{object{"type": kind, "status": "True"}, object{"type": "Failed", "status": "False"}}}
		got, err := decodeScene(t, s.body())
		if err != nil {
			t.Fatal(err)
		}
		if ended := got.Children[0].Ended; ended != (condition{}) {
			t.Errorf("%s: got %v, want that the Job goes on", kind, ended)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, c := range badRequests(f) {
		if len(c.body) < 64<<10 {
			f.Add([]byte(c.body))
		}
	}
	s := crowd(2, true)
	s.run(1, 3)
	s.remember(2, mayastor.Attempt{N: 1, State: mayastor.Started, At: noon})
	s.diskPools["mayastor/p"] = object{"metadata": object{"name": "p", "namespace": "mayastor", "labels": object{"tier": "hot"}}}
	f.Add(s.body())
	f.Add([]byte(`{"parent":{"metadata":{"name":"\ud83d\ude00\ud800\u0000"}},"a":-0.5e+7}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d := newDecoder(iotest.HalfReader(bytes.NewReader(body)))
		d.claims = true
		got, err := d.request(func(*parent) error { return nil })
		if err != nil {
			fault, ok := errors.AsType[*faultError](err)
			if !ok || fault.status < 400 || strings.ContainsAny(fault.line, "\n\r") {
				t.Fatalf("got %v, want a fault of one line", err)
			}
			return
		}
		var tree map[string]any
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.UseNumber()
		if err := decoder.Decode(&tree); err != nil {
			t.Fatalf("encoding/json refuses what was accepted: %v", err)
		}
		if err := decoder.Decode(new(any)); err != io.EOF {
			t.Fatalf("more follows what was accepted: %v", err)
		}
		compare(t, tree, got)
	})
}

// compare walks what encoding/json read and compares the fields in use.
func compare(t *testing.T, tree map[string]any, got *request) {
	t.Helper()
	parent := pick(tree, "parent")
	if name := str(parent, "metadata", "name"); name != got.Parent.Name {
		t.Errorf("got parent %q, encoding/json has %q", got.Parent.Name, name)
	}
	if finalizing := tree["finalizing"]; finalizing != got.Finalizing {
		t.Errorf("got finalizing %v, encoding/json has %v", got.Finalizing, finalizing)
	}
	volumes := map[string]*volume{}
	for _, v := range got.Related.Volumes {
		volumes[v.Name] = v
	}
	count := 0
	for _, o := range pick(tree, "related", volumesKey) {
		o, ok := o.(map[string]any)
		if !ok || str(o, "spec", "csi", "driver") != csiDriver || str(o, "spec", "csi", "volumeHandle") == "" {
			continue
		}
		count++
		v := volumes[str(o, "metadata", "name")]
		want := &volume{
			Name: str(o, "metadata", "name"), Deleting: str(o, "metadata", "deletionTimestamp") != "",
			Labels:       strs(o, "metadata", "labels"),
			Memory:       new(readMemory(str(o, "metadata", "annotations", mayastor.AttemptAnnotation), str(o, "metadata", "annotations", mayastor.LastMigrationAnnotation))),
			StorageClass: str(o, "spec", "storageClassName"), Handle: str(o, "spec", "csi", "volumeHandle"),
			Claim: reference{str(o, "spec", "claimRef", "namespace"), str(o, "spec", "claimRef", "name"), str(o, "spec", "claimRef", "uid")},
		}
		if diff := cmp.Diff(want, v); diff != "" {
			t.Errorf("volume: -encoding/json +got\n%s", diff)
		}
	}
	if count != len(got.Related.Volumes) {
		t.Errorf("got %d volumes, encoding/json has %d", len(got.Related.Volumes), count)
	}
	jobs := map[string]*job{}
	for _, j := range got.Children {
		jobs[j.Namespace+"/"+j.Name] = j
	}
	children := pick(tree, "children", jobsKey)
	if len(children) != len(got.Children) {
		t.Errorf("got %d children, encoding/json has %d", len(got.Children), len(children))
	}
	for _, o := range children {
		o, _ := o.(map[string]any)
		j := jobs[str(o, "metadata", "namespace")+"/"+str(o, "metadata", "name")]
		if str(o, "metadata", "uid") != j.UID || !cmp.Equal(strs(o, "metadata", "labels"), j.Labels) {
			t.Errorf("got Job %+v, encoding/json has %v", j, o)
		}
	}
	if n := len(pick(tree, "related", claimsKey)); n != len(got.Related.Claims) {
		t.Errorf("got %d claims, encoding/json has %d", len(got.Related.Claims), n)
	}
}

func pick(tree map[string]any, path ...string) map[string]any {
	for _, key := range path {
		tree, _ = tree[key].(map[string]any)
	}
	return tree
}

func str(tree map[string]any, path ...string) string {
	s, _ := pick(tree, path[:len(path)-1]...)[path[len(path)-1]].(string)
	return s
}

// strs reads labels, in which null is "".
func strs(tree map[string]any, path ...string) map[string]string {
	var all map[string]string
	for k, v := range pick(tree, path...) {
		if all == nil {
			all = map[string]string{}
		}
		s, _ := v.(string)
		all[k] = s
	}
	return all
}

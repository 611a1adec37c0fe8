package mayastor_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/test/simulator"
)

// agreePage compares the ways to read a page with encoding/json, which is right
// by definition, and says whether the scanner took it.
func agreePage(t *testing.T, body []byte) (taken bool) {
	t.Helper()
	var want struct {
		Entries *[]mayastor.Volume `json:"entries"`
		Next    *int64             `json:"next_token"`
	}
	wantErr := json.Unmarshal(body, &want)
	var volumes []mayastor.Volume
	if want.Entries != nil {
		volumes = append(volumes, *want.Entries...)
	}
	check := func(how string, all []mayastor.Volume, present bool, next *int64) {
		t.Helper()
		if present != (want.Entries != nil) || !reflect.DeepEqual(next, want.Next) || !reflect.DeepEqual(all, volumes) {
			t.Errorf("%s of %s: entries %v, next %v, want %v, %v\n%s", how, body, present, next, want.Entries != nil, want.Next, cmp.Diff(all, volumes))
		}
	}
	if all, present, next, ok := mayastor.ScanPage(body); ok {
		taken = true
		if wantErr != nil {
			t.Errorf("the scanner takes what encoding/json refuses (%v): %s", wantErr, body)
		} else {
			check("the scan", all, present, next)
		}
	}
	all, present, next, err := mayastor.DecodePage(body)
	switch {
	case fmt.Sprint(err) != fmt.Sprint(wantErr):
		t.Errorf("got error %v, want %v", err, wantErr)
	case err == nil:
		check("decoding", all, present, next)
	}
	return taken
}

// upstream are pages as servers of every kind send them, of which the scanner
// takes every one.
func upstream(t *testing.T) (pages [][]byte) {
	t.Helper()
	for seed := range uint64(12) {
		for _, profile := range []simulator.Profile{simulator.Old, simulator.V2_9, simulator.V2_10, simulator.V2_12} {
			x := newTrial(t, seed, profile, wild{broken: true, topologies: true})
			w := httptest.NewRecorder()
			x.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/v0/volumes?max_entries=3", nil))
			pages = append(pages, w.Body.Bytes())
		}
	}
	return append(pages, estate{volumes: 5}.page(nil, 0, 3), estate{volumes: 5}.page(nil, 3, 6))
}

func TestPagesAsServersSendThemAreScanned(t *testing.T) {
	t.Parallel()
	for _, body := range upstream(t) {
		if !agreePage(t, body) {
			t.Errorf("the scanner gave up on %s", body)
		}
	}
}

// oddities are pages that differ from the usual in one way each.
func oddities() []string {
	spec := func(s string) string { return `{"entries":[{"spec":{"uuid":"a",` + s + `}}]}` }
	state := func(s string) string { return `{"entries":[{"spec":{"uuid":"a"},"state":{` + s + `}}]}` }
	return []string{
		``, ` `, `null`, `[]`, `{}`, `true`, `"x"`, `0`, `{`, `}`, `{"entries"`, `{"entries":`, `{"entries":[`, `{"entries":[{`, `{"entries":[]`,
		`{"entries":null}`, `{"entries":{}}`, `{"entries":[]}`, `{"entries":[],}`, `{"entries":[] "x":1}`, `{,}`, `{"entries":[,]}`, `{"entries":[null]}`,
		`{"entries":[]} `, `{"entries":[]}x`, `{"entries":[]}{}`, `{"entries":[]}` + "\x00", `{"entries":[{}]}`, `{"entries":[[]]}`, `{"entries":[{},]}`,
		`{"entries":[],"entries":[{"spec":{"uuid":"b"}}]}`, `{"entries":[],"Entries":[{"spec":{"uuid":"b"}}]}`, `{"ENTRIES":[{"spec":{"UUID":"b"}}]}`,
		`{"entries":[],"next_token":null}`, `{"entries":[],"next_token":1.0}`, `{"entries":[],"next_token":1e3}`, `{"entries":[],"next_token":-0}`,
		`{"entries":[],"next_token":9223372036854775807}`, `{"entries":[],"next_token":9223372036854775808}`, `{"entries":[],"next_token":"1"}`, `{"entries":[],"next_token":01}`,
		`{"entries":[],"next_token":}`, `{"entries":[],"next_token":-}`, `{"entries":[],"next_token":1.}`, `{"entries":[],"next_token":1e}`, `{"entries":[],"next_token":+1}`,
		`{"\u0065ntries":[{"spec":{"uuid":"b"}}]}`, `{"entrieſ":[{"spec":{"uuid":"b"}}]}`, `{"next_toKen":5}`, `{"entries":[],null:1}`, `{"entries":[],1:1}`,
		spec(`"x":{"y":[1,2,{"z":"\u00e9\n\"\\"}]}`), spec(`"x":"\x"`), spec(`"x":"\u12g4"`), spec(`"x":"\u12"`), spec("\"x\":\"\x01\""), spec("\"x\":\"\xff\""), spec(`"x":-`), spec(`"x":tru`), spec(`"x":nul`),
		spec(`"x":[1.5e-7,0,-0,0.0,1E+9]`), spec(`"x":[00]`), spec(`"x":.5`), spec(`"x":NaN`), spec(`"x":'y'`), spec(`"x":` + strings.Repeat("[", 300) + strings.Repeat("]", 300)),
		spec(`"x":` + strings.Repeat(`{"y":`, 9990) + "1" + strings.Repeat("}", 9990)), spec(`"x":` + strings.Repeat("[", 10001) + strings.Repeat("]", 10001)),
		spec(`"uuid":"b"`), spec(`"uuid":null`), spec(`"Uuid":"b"`), spec(`"size":null,"status":null,"thin":null,"policy":null,"operation":null,"target":null,"topology":null,"affinity_group":null,"content_source":null,"encrypted":null`),
		spec(`"size":1.5`), spec(`"size":"5"`), spec(`"size":-7`), spec(`"num_replicas":true`), spec(`"status":"Dreaming"`), spec(`"status":5`), spec(`"status":"D\u0072eaming"`), spec(`"status":"träumt"`), spec("\"status\":\"\xff\""),
		spec(`"thin":1`), spec(`"thin":"true"`), spec(`"policy":{"self_heal":true,"self_heal":false}`), spec(`"policy":{"self_heal":null}`), spec(`"policy":[]`),
		spec(`"policy":{"self_heal":true},"policy":{}`), spec(`"operation":{}`), spec(`"operation":{"operation":"Create","result":null}`), spec(`"operation":{"operation":"Create","result":false}`), spec(`"operation":{"result":true}`),
		spec(`"target":{}`), spec(`"target":{"node":"n","protocol":null}`), spec(`"target":{"node":"n","Protocol":"nvmf"}`), spec(`"target":"n"`),
		spec(`"topology":{}`), spec(`"topology":{"node_topology":null,"pool_topology":{"labelled":null}}`), spec(`"topology":5`), spec(`"topology":{"node_topology":{"explicit":{"allowed_nodes":["b","a"],"preferred_nodes":[]}}}`),
		spec(`"topology":{"pool_topology":{"labelled":{"inclusion":{"b":"1","a":"ä"},"exclusion":{},"affinity_key":["y","x"]}}}`), spec(`"topology": { "Pool_Topology" : {"labelled":{"inclusion":{"a":"1","a":"2"}}}} `),
		spec(`"affinity_group":{}`), spec(`"affinity_group":{"id":"ns/db"}`), spec(`"content_source": {"snapshot" : {"snapshot":"\u00e9"}} `), spec(`"content_source":"x"`), spec(`"content_source":5`), spec(`"content_source":[ ]`), spec(`"encrypted":true`), spec(`"encrypted":0`),
		state(`"target":null,"usage":null,"replica_topology":null`), state(`"target":{},"usage":{},"replica_topology":{}`), state(`"usage":{"capacity":1,"allocated":-1}`), state(`"usage":{"allocated":1},"usage":{"capacity":2}`),
		state(`"target":{"children":null}`), state(`"target":{"children":[]}`), state(`"target":{"children":[null,{}]}`), state(`"target":{"children":{}}`), state(`"target":{"rebuilds":1.5}`),
		state(`"target":{"children":[{"uri":"u","rebuildProgress":0},{"uri":"u","rebuildProgress":null},{"uri":"u","rebuildprogress":7},{"uri":"u","rebuildProgress":-1}]}`),
		state(`"replica_topology":{"":{},"r":null,"s":{"child-status":"Online","rebuild-progress":100}}`), state(`"replica_topology":{"r":{"node":"n"},"r":{"pool":"p"}}`), state(`"replica_topology":{"r":{"node":"n"},"\u0072":{"pool":"p"}}`),
		state(`"replica_topology":{"é":{}}`), state(`"replica_topology":[]`), state(`"replica_topology":{"r":5}`), state(`"replica_topology":{null:{}}`), state(`"replica_topology":{"r":{"Node":"n"}}`), state(`"replica_topology":{"r":{"child-status-reason":"OutOfSpace"}}`),
		`{"entries":[{"spec":{"uuid":"a"},"state":{"target":{"children":[{}]},"replica_topology":{"r":{}},"usage":{}}},{"spec":{"uuid":"b"},"state":{"target":{},"replica_topology":{}}},{"spec":{"uuid":"c"},"state":{}}]}`,
		`{"entries":[{"spec":{"uuid":"a"},"spec":{"size":5}}]}`, `{"entries":[{"spec":null,"state":null}]}`, `{"entries":[{"spec":[],"state":{}}]}`, "\ufeff{}", "{\"entries\"\t:\r\n[ ] }", "{\"entries\":\v[]}",
	}
}

func TestOddPagesMeanWhatEncodingJSONSays(t *testing.T) {
	t.Parallel()
	for _, body := range oddities() {
		agreePage(t, []byte(body))
	}
}

// FuzzPage: whatever a server sends, it is read as encoding/json reads it.
func FuzzPage(f *testing.F) {
	f.Add(estate{volumes: 2}.page(nil, 0, 1))
	for _, body := range oddities() {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { agreePage(t, body) })
}

// Pages of servers with a few things changed at random: members left out, given
// twice, in other order and case, other values, other spaces.
func TestChangedPagesMeanWhatEncodingJSONSays(t *testing.T) {
	t.Parallel()
	pages := upstream(t)
	taken, runs := 0, 4_000
	if testing.Short() {
		runs = 2_000
	}
	for seed := range runs {
		m := mutation{rand.New(rand.NewPCG(uint64(seed), 3)), seed % 5}
		var tree any
		d := json.NewDecoder(bytes.NewReader(pages[m.IntN(len(pages))]))
		d.UseNumber()
		if err := d.Decode(&tree); err != nil {
			t.Fatal(err)
		}
		if agreePage(t, m.render(nil, tree)) {
			taken++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if taken < runs/5 || taken > runs*9/10 {
		t.Errorf("the scanner took %d of %d pages: the test says little about it, or about the rest", taken, runs)
	}
}

// mutation renders JSON and changes about one value in a thousand times the
// power of two of its rate.
type mutation struct {
	*rand.Rand
	rate int
}

func (m mutation) now() bool { return m.rate > 0 && m.IntN(4000) < 1<<m.rate }

func (m mutation) render(b []byte, v any) []byte {
	b = append(b, []string{"", "", "", "", "", "", "", " ", "\n\t"}[m.IntN(9)]...)
	if m.now() {
		odd := []string{`null`, `true`, `"x"`, `-1`, `1.5`, `[]`, `{}`, `[{}]`, `""`, `{"uuid":"x"}`, `"\u00e9"`, `"é"`, `7`, ``, `12345678901234567890`}
		return append(b, odd[m.IntN(len(odd))]...)
	}
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		m.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		if m.now() && len(names) > 0 {
			names = append(names, names[0])
		}
		if m.now() && len(names) > 0 {
			names = names[1:]
		}
		b = append(b, '{')
		for i, name := range names {
			if i > 0 {
				b = append(b, ',')
			}
			text := name
			switch {
			case m.now():
				text = strings.ToUpper(name)
			case m.now():
				text = "x" + name
			}
			b = append(m.render(b, text), ':')
			b = m.render(b, v[name])
		}
		return append(b, '}')
	case []any:
		b = append(b, '[')
		for i, e := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = m.render(b, e)
		}
		return append(b, ']')
	default:
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return append(b, text...)
	}
}

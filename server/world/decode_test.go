package world

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/billyronks/couchestor/test/budget"
	"github.com/billyronks/couchestor/tiering"
)

// city is a Prometheus that knows n volumes in full, and answers as the real one
// does.
type city struct{ score, reads, writes []byte }

func newCity(n int) *city {
	body := func(value func(i int) float64, infos string) []byte {
		b := []byte(`{"status":"success","data":{"resultType":"vector","result":[`)
		for i := range n {
			if i > 0 {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, `{"metric":{"pv_name":"pvc-5e1f0000-0000-4000-8000-%012d"},"value":[NOW,"%s"]}`,
				i, strconv.FormatFloat(value(i), 'f', -1, 64))
		}
		return append(append(append(b, `]}`...), infos...), '}')
	}
	covered := func(i int) float64 { return 100 * float64(60-i%3) / 60 }
	return &city{
		score: body(func(i int) float64 { return float64(i) + 1.0/7 },
			`,"infos":["PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"volume_num_read_ops\" (1:39)"]`),
		reads: body(covered, ""), writes: body(covered, ""),
	}
}

// at gives the answers the time of evaluation. It is of as many bytes as a real one.
func (c *city) at(t time.Time) {
	now := []byte(strconv.FormatFloat(float64(t.Unix())+0.123, 'f', 3, 64))
	for _, b := range []*[]byte{&c.score, &c.reads, &c.writes} {
		*b = bytes.ReplaceAll(*b, []byte("NOW"), now)
	}
}

func (c *city) bodies() [][]byte { return [][]byte{c.score, c.reads, c.writes} }

// RoundTrip answers without a copy, which would count as ours.
func (c *city) RoundTrip(r *http.Request) (*http.Response, error) {
	body := c.score
	switch q := r.FormValue("query"); {
	case strings.Contains(q, "present_over_time("+ReadOps):
		body = c.reads
	case strings.Contains(q, "present_over_time("+WriteOps):
		body = c.writes
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

func newCityReader(tb testing.TB, c *city) *Prometheus {
	tb.Helper()
	p, err := NewPrometheus(PrometheusConfig{
		URL: "http://prom.test", Transport: c, ScrapeInterval: time.Minute,
		Limits: testLimits, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	return p
}

// BenchmarkReading is one reading as every but the first is: three vectors
// decoded and joined. x-token-scan compares with the bare token scan of
// encoding/json over the same bodies in the same run, x-library with the client
// library of Prometheus.
func BenchmarkReading(b *testing.B) {
	for _, volumes := range []int{100, 1_000, 10_000, 100_000} {
		b.Run(strconv.Itoa(volumes), func(b *testing.B) {
			c := newCity(volumes)
			c.at(time.Now())
			p := newCityReader(b, c)
			o, err := newOracle(c, time.Minute)
			if err != nil {
				b.Fatal(err)
			}
			p.Scores(b.Context(), time.Hour)
			var bare, library time.Duration
			size := 0
			for _, body := range c.bodies() {
				size += len(body)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.read(b.Context(), time.Hour); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				for _, body := range c.bodies() {
					bare += budget.TokenScan(body)
				}
				start := time.Now()
				if _, err := o.read(b.Context(), time.Hour); err != nil {
					b.Fatal(err)
				}
				library += time.Since(start)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed())/float64(bare), "x-token-scan")
			b.ReportMetric(float64(b.Elapsed())/float64(library), "x-library")
			b.ReportMetric(float64(size)/float64(3*volumes), "B/element")
		})
	}
}

// bytesFirst bounds what a volume takes in the only window that is kept, and
// bytesFurther what it takes in each further one, which shares its name.
const (
	bytesFirst   = 160
	bytesFurther = 110
)

func TestVolumeTakesAHundredAndSixtyBytesAndLessInFurtherWindows(t *testing.T) {
	for _, n := range []int{10_000, 100_000} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			// In a bubble the readings are in time on any machine.
			synctest.Test(t, func(t *testing.T) {
				c := newCity(n)
				c.at(time.Now())
				p := newCityReader(t, c)
				before := budget.Heap()
				for i, limit := range []int64{bytesFirst, bytesFurther} {
					if got := p.Scores(t.Context(), time.Duration(i+1)*time.Hour); len(got.Samples) != n {
						t.Fatalf("got %d samples, %+v", len(got.Samples), got.Source)
					}
					after := budget.Heap()
					each := (after - before) / int64(n)
					t.Logf("window %d: %d bytes a volume", i+1, each)
					if each > limit {
						t.Errorf("got %d bytes in window %d, want at most %d", each, i+1, limit)
					}
					before = after
				}
				time.Sleep(testLimits.TTL)
				p.Scores(t.Context(), time.Hour)
				if extra := budget.Heap() - before; extra > 1<<20 {
					t.Errorf("reading again holds %d bytes more", extra)
				}
				runtime.KeepAlive(p)
				runtime.KeepAlive(c)
			})
		})
	}
}

// measured is a body at whose end the heap is weighed.
type measured struct {
	io.Reader
	heap *int64
}

func (m *measured) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	if errors.Is(err, io.EOF) && *m.heap == 0 {
		*m.heap = budget.Heap()
	}
	return n, err
}

func (m *measured) Close() error { return nil }

func TestReadingOfAHundredThousandVolumesNeedsTenMegabytesBeyondWhatIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity(100_000)
		c.at(time.Now())
		p := newCityReader(t, c)
		p.Scores(t.Context(), time.Hour)
		before := budget.Heap()
		var full int64
		p.client.http.Transport = transport(func(r *http.Request) (*http.Response, error) {
			resp, err := c.RoundTrip(r)
			if strings.Contains(r.FormValue("query"), WriteOps+"[1m6s]") {
				resp.Body = &measured{resp.Body, &full}
			}
			return resp, err
		})
		time.Sleep(testLimits.TTL)
		if got := p.Scores(t.Context(), time.Hour); len(got.Samples) != 100_000 || full == 0 {
			t.Fatalf("got %d samples, %+v", len(got.Samples), got.Source)
		}
		extra := full - before
		t.Logf("%.1f MiB for bodies of %.1f MiB each", float64(extra)/(1<<20), float64(len(c.score))/(1<<20))
		if extra > 10<<20 {
			t.Errorf("got %d bytes, want at most 10 MiB", extra)
		}
		runtime.KeepAlive(p)
		runtime.KeepAlive(c)
	})
}

func TestAnswerMayBeOfHalfAMillionVolumes(t *testing.T) {
	const n = 1000
	c := newCity(n)
	c.at(time.Now())
	if each := len(c.score) / n; 500_000*each > maxAnswer {
		t.Errorf("500 000 volumes of %d bytes are more than the %d bytes that an answer may have", each, maxAnswer)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// broken is a body that ends with an error.
type broken struct{ io.Reader }

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (broken) Close() error { return nil }

// script answers each query with the same status and body, which breaks off at
// its end if cut is true.
type script struct {
	status int
	body   string
	cut    bool
}

func (s script) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	rec.WriteHeader(s.status)
	rec.WriteString(s.body)
	resp := rec.Result()
	if s.cut {
		resp.Body = broken{resp.Body}
	}
	return resp, nil
}

// compare has the reader and the client library of Prometheus read the same
// answer, and tells where they differ.
//
// Three things may differ. Of what is not JSON, or JSON of the wrong types, each
// says in its own words what is wrong, and what is wrong about a matrix or a scalar
// does not matter to us. And one of the members of an answer or of its data given
// twice is refused here, while the library takes the last.
func compare(ctx context.Context, s script, at time.Time) string {
	c, err := newPromClient("http://prom.test:9090", nil, s, time.Minute)
	if err != nil {
		return err.Error()
	}
	o, err := newOracle(s, time.Minute)
	if err != nil {
		return err.Error()
	}
	want, wantErr := o.query(ctx, "score", at)
	r := newReading(map[string]tiering.Sample{"a": {}, "gone": {}})
	gotErr := c.vector(ctx, "score", at, r, scoreVector)
	if gotErr == nil && wantErr == nil {
		got := map[string]valued{}
		for name, i := range r.index {
			if row := r.rows[i]; row.seen() {
				got[name] = valued{row.values[scoreVector], row.flaws[scoreVector]}
			}
		}
		for _, m := range []map[string]valued{got, want} {
			for name, v := range m {
				// Of what must not be used the value does not matter.
				if v.flaw != fine {
					m[name] = valued{flaw: v.flaw}
				}
			}
		}
		if len(got) != r.named[scoreVector] {
			return fmt.Sprintf("%d volumes, but %d are counted", len(got), r.named[scoreVector])
		}
		return cmp.Diff(got, want, cmp.AllowUnexported(valued{}))
	}
	var g, w Fault
	if gotErr != nil {
		g = *asFault(gotErr)
	}
	if wantErr != nil {
		w = *asFault(wantErr)
	}
	if g.Reason == BadAnswer {
		if strings.Contains(g.Message, " twice in one object") {
			return ""
		}
		if w.Reason == BadAnswer && (g.Err != nil || strings.Contains(g.Message, " instead of a vector")) {
			return ""
		}
	}
	if g.Reason == PartialAnswer && w.Reason == BadAnswer && w.Err != nil {
		return ""
	}
	if g.Reason != w.Reason || g.Message != w.Message {
		return fmt.Sprintf("got %q %q, want %q %q", g.Reason, g.Message, w.Reason, w.Message)
	}
	return ""
}

// decodeTime is the time of evaluation of the answers that are made up.
var decodeTime = time.Unix(1700000000, 0)

// answers are some of all kinds.
func answers() []string {
	e := func(more string) string {
		return `{"metric":{"pv_name":"a"},"value":[1700000000.123,"1"]}` + more
	}
	all := []string{
		vectorOf("a=1"), vectorOf("a=NaN", "b=+Inf", "c=-Inf", "d=-1", "e=-0", "f=1e3", "g=0x1p4", "h=1_0", "i= 1", "j=1e999", "k=", "l=nan", "m=infinity"),
		vectorOf("a=1", "a=2"), vectorOf("a=1", "a=2", "a=3"), vectorOf("a=NaN", "a=1"), vectorOf("=1"), vectorOf("=1", "a=1"), vectorOf(),
		vectorOf(`ü=1`, `a"b=1`, `a\b=1`, "a\x01b=1", "\xff=1"),
		answer("matrix", "[]"), answer("matrix", `[{"metric":{"pv_name":"a"},"values":[[NOW,"1"]]}]`), answer("scalar", `[NOW,"1"]`),
		answer("string", `[NOW,"1"]`), answer("tensor", `[]`), answer("", `[]`), answer("<ValNone>", `[]`),
		answer("vector", `null`), answer("vector", `{}`), answer("vector", `"x"`), answer("vector", `7`), answer("vector", `[null]`), answer("vector", `[{}]`), answer("vector", `[7]`), answer("vector", `[[]]`),
		answer("vector", "["+e(",null")+"]"), answer("vector", "[null,"+e(",7")+"]"), answer("vector", "["+e(","+e(""))+"]"), answer("vector", "[ "+e(" , ")+e("")+" ]"),
		answer("vector", `[{"metric":{"pv_name":"a"},"histogram":[NOW,{}]}]`),
		answer("vector", `[{"metric":{"pv_name":"a"},"histogram":[NOW,{"count":"3","sum":"1","buckets":[[0,"1","2","3"]]}]}]`),
		answer("vector", `[{"metric":{"pv_name":"a"},"histogram":[NOW,{"count":3}]}]`), answer("vector", `[{"metric":{"pv_name":"a"},"histogram":[NOW]}]`), answer("vector", `[{"metric":{"pv_name":"a"},"histogram":[NOW,null]}]`),
		answer("vector", `[{"metric":{"pv_name":"a"},"value":[NOW,"1"],"histogram":[NOW,{"count":"3","sum":"1"}]}]`),
		"null", "{}", "[]", "7", `"x"`, "", " ", "<html>please log in</html>", "}", "{", `{"status"`, `{"status":`, `{"status":"success"}`, `{"status":"success"} {}`, `{"status":"success"}]`, `{"status":"success"} x`,
		`{"status":"error"}`, `{"status":"error","errorType":"execution","error":"x"}`, `{"status":"error","errorType":"timeout","error":"x"}`, `{"status":"error","errorType":"bad_response","error":"x"}`,
		`{"status":7}`, `{"status":"success","data":null}`, `{"status":"success","data":{}}`, `{"status":"success","data":[]}`, `{"status":"success","data":7}`, `{"status":"success","data":"x"}`,
		`{"status":"success","data":{"resultType":"vector"}}`, `{"status":"success","data":{"result":[]}}`, `{"status":"success","data":{"resultType":7,"result":[]}}`, `{"status":"success","data":{"resultType":null,"result":[]}}`,
		`{"STATUS":"success","Data":{"RESULTTYPE":"vector","Result":[` + e("") + `]}}`,
		`{"status":"error","error":"x","data":{"result":[` + e("") + `],"resultType":"vector"},"infos":["x"]}`,
		`{"data":{"other":{"a":[1,{"b":null}]},"result":[` + e("") + `],"resultType":"vector","more":"x"},"isPartial":true,"status":"success","stats":{"a":[]}}`,
		`{"data":{"result":[1700000000,"1"],"resultType":"scalar"},"status":"success"}`, `{"data":{"result":[1700000000,"1"],"resultType":"vector"},"status":"success"}`,
		`{"status":"success","status":"error"}`, `{"data":{"resultType":"vector","result":[],"result":[]}}`, `{"data":null,"data":{"resultType":"vector","result":[]}}`,
		strings.Replace(vectorOf("a=1"), `"success"`, `"success","warnings":["store b","store a"]`, 1), strings.Replace(vectorOf("a=1"), `"success"`, `"success","warnings":["PromQL info: x"]`, 1),
		strings.Replace(vectorOf("a=1"), `"success"`, `"success","warnings":null,"infos":null`, 1), strings.Replace(vectorOf("a=1"), `"success"`, `"success","warnings":[7]`, 1), strings.Replace(vectorOf("a=1"), `"success"`, `"success","infos":"x"`, 1),
		strings.Replace(answer("matrix", "[]"), `"success"`, `"success","warnings":["store a"]`, 1), strings.Replace(vectorOf("a=x"), `"success"`, `"success","warnings":["store a"]`, 1), strings.Replace(answer("vector", "[null]"), `"success"`, `"success","warnings":["store a"]`, 1),
	}
	// An element as it is usual, with one thing changed.
	for _, pair := range []string{
		`[1700000000,"1"]`, `[1700000000.1234567,"1"]`, `[1700000000.1,"1"]`, `[1700000600,"1"]`, `[-1700000000,"1"]`, `[1.7e9,"1"]`, `[99999999999999999999,"1"]`, `["1700000000","1"]`, `[null,"1"]`, `[1700000000,null]`,
		`[1700000000,1]`, `[1700000000,"1","2"]`, `[1700000000,"1",2]`, `[1700000000]`, `[]`, `null`, `{}`, `"x"`, `[ 1700000000 , "1" ]`, `[1700000000,"\u0031"]`, `[1700000000,"1\n"]`, `[[1700000000],"1"]`, `[1700000000,["1"]]`, `[1700000000,"1"],"value":[1700000000,"2"]`, `[1700000000,"1"],"other":7`,
	} {
		all = append(all, answer("vector", `[{"metric":{"pv_name":"a"},"value":`+pair+`}]`))
	}
	for _, metric := range []string{
		`{"pv_name":"a","node":"n"}`, `{"node":"n","pv_name":"a"}`, `{"node":"n"}`, `{}`, `null`, `[]`, `7`, `{"pv_name":7}`, `{"pv_name":null}`, `{"PV_NAME":"a"}`, `{"pv_name":"a","pv_name":"b"}`, `{ "pv_name" : "a" }`, `{"pv_name":"\u0061"}`, `{"pv_name":"a\"},\"value\":[1,\"2\"]"}`, `{"pv\u005fname":"a"}`,
	} {
		all = append(all, answer("vector", `[{"metric":`+metric+`,"value":[1700000000,"1"]}]`))
	}
	for i := range all {
		all[i] = strings.ReplaceAll(all[i], "NOW", "1700000000")
	}
	return all
}

func TestAnswersAreReadAsTheClientLibraryOfPrometheusReadsThem(t *testing.T) {
	for _, body := range answers() {
		for _, status := range []int{200, 204, 299, 304, 400, 401, 403, 404, 405, 422, 500, 501, 503} {
			for _, cut := range []bool{false, true} {
				if diff := compare(t.Context(), script{status, body, cut}, decodeTime); diff != "" {
					t.Errorf("status %d, cut off %v, %s:\n%s", status, cut, body, diff)
				}
			}
		}
	}
}

func TestAnswersWithAnyByteChangedOrMissingAreReadAsTheClientLibraryReadsThem(t *testing.T) {
	all := answers()
	rapid.Check(t, func(rt *rapid.T) {
		body := []byte(rapid.SampledFrom(all).Draw(rt, "answer"))
		for range rapid.IntRange(1, 3).Draw(rt, "changes") {
			if len(body) == 0 {
				break
			}
			i := rapid.IntRange(0, len(body)-1).Draw(rt, "at")
			switch rapid.IntRange(0, 4).Draw(rt, "change") {
			case 0:
				body = body[:i]
			case 1:
				body = append(body[:i:i], body[i+1:]...)
			case 2:
				body[i] = rapid.Byte().Draw(rt, "byte")
			case 3:
				body[i] = rapid.SampledFrom([]byte(`{}[]",:0123456789.-+eE\ntf `)).Draw(rt, "byte")
			case 4:
				j := rapid.IntRange(i, min(len(body), i+40)).Draw(rt, "to")
				body = append(body[:j:j], body[i:]...)
			}
		}
		s := script{rapid.SampledFrom([]int{200, 200, 200, 400, 503}).Draw(rt, "status"), string(body), rapid.IntRange(0, 9).Draw(rt, "cut") == 0}
		if diff := compare(t.Context(), s, decodeTime); diff != "" {
			rt.Fatalf("%+v\n%s", s, diff)
		}
	})
}

// FuzzAnswer: whatever Prometheus sends is read as its client library reads it,
// and a known sample is never made of what is no number.
func FuzzAnswer(f *testing.F) {
	for _, body := range answers() {
		f.Add(200, body)
	}
	f.Add(400, `{"status":"error","errorType":"bad_data","error":"parse error"}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		s := script{status: status, body: body}
		if diff := compare(t.Context(), s, decodeTime); diff != "" {
			t.Error(diff)
		}
		c, err := newPromClient("http://prom.test", nil, s, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		r := newReading(nil)
		for v := range vectors {
			if err := c.vector(t.Context(), "score", decodeTime, r, v); err != nil {
				if asFault(err).Reason == Internal {
					t.Errorf("a fault of our own: %v", err)
				}
				return
			}
		}
		samples, _ := c.samples(r)
		for name, s := range samples {
			if s.Known() && (r.rows[r.index[name]].flaws != [vectors]flaw{fine, fine, fine} || s.IOPS() < 0 || s.IOPS() != s.IOPS()) {
				t.Errorf("%q is known as %v", name, s.IOPS())
			}
		}
	})
}

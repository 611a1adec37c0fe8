package world

import (
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/common/config"

	"github.com/billyronks/couchestor/tiering"
)

// fakeProm is a Prometheus that answers each of the three queries with a body.
// In a body, NOW stands for the time of evaluation.
type fakeProm struct {
	score, reads, writes string
	// handle answers instead if it is not nil.
	handle http.HandlerFunc

	mu    sync.Mutex
	asked []asked
}

type asked struct{ query, time, timeout string }

func (f *fakeProm) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.FormValue("query")
	f.mu.Lock()
	f.asked = append(f.asked, asked{q, r.FormValue("time"), r.FormValue("timeout")})
	f.mu.Unlock()
	if f.handle != nil {
		f.handle(w, r)
		return
	}
	body := f.score
	switch {
	case strings.Contains(q, "present_over_time("+ReadOps):
		body = f.reads
	case strings.Contains(q, "present_over_time("+WriteOps):
		body = f.writes
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprint(w, strings.ReplaceAll(body, "NOW", r.FormValue("time")))
}

func (f *fakeProm) queries() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.asked)
}

// RoundTrip serves without a network, which does not work in a synctest bubble.
func (f *fakeProm) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	f.ServeHTTP(rec, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return rec.Result(), nil
}

// vectorOf is the body of an answer with a vector of name=value elements.
func vectorOf(elements ...string) string {
	var b strings.Builder
	for i, e := range elements {
		name, value, _ := strings.Cut(e, "=")
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"metric":{"pv_name":%q},"value":[NOW,%q]}`, name, value)
	}
	return answer("vector", "["+b.String()+"]")
}

func answer(kind, result string) string {
	return fmt.Sprintf(`{"status":"success","data":{"resultType":%q,"result":%s}}`, kind, result)
}

// healthy is a Prometheus that knows one volume, a, in full.
func healthy() *fakeProm {
	return &fakeProm{score: vectorOf("a=120.5"), reads: vectorOf("a=100"), writes: vectorOf("a=95")}
}

func newTestPrometheus(t *testing.T, transport http.RoundTripper, observe Observer) *Prometheus {
	t.Helper()
	p, err := NewPrometheus(PrometheusConfig{
		URL: "http://prom.test:9090", Transport: transport, ScrapeInterval: time.Minute,
		Limits: testLimits, Observe: observe, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// sameSample lets samples be compared, which hide their numbers.
var sameSample = cmpopts.EquateComparable(tiering.Sample{})

func known(iops, coverage float64) tiering.Sample {
	s, err := tiering.NewSample(iops, coverage)
	if err != nil {
		panic(err)
	}
	return s
}

func TestScores(t *testing.T) {
	fault := func(reason, message string) tiering.Source {
		return tiering.Source{Reason: reason, Message: message}
	}
	const (
		blind = "so scores are unknown and no new move starts"
		notIt = "What answers at prom.test:9090 is not the API of Prometheus: "
		then  = ". Scores are unknown and no new move starts; check --prometheus-url."
	)
	ok := tiering.Source{OK: true, Reason: Available, Message: "Prometheus answers."}
	one := map[string]tiering.Sample{"a": known(120.5, 95)}
	// withScore and so on change one thing of a healthy Prometheus.
	withScore := func(body string) *fakeProm { f := healthy(); f.score = body; return f }
	status := func(code int, body string) *fakeProm {
		f := healthy()
		f.handle = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code); fmt.Fprint(w, body) }
		return f
	}
	why := func(s string) map[string]tiering.Sample {
		return map[string]tiering.Sample{"a": tiering.UnknownSample(s)}
	}

	for _, c := range []struct {
		name    string
		prom    *fakeProm
		source  tiering.Source
		samples map[string]tiering.Sample
	}{
		{"a volume in all three vectors is known, its coverage the lower one", healthy(), ok, one},
		{
			"coverage above the window is clamped to 100 percent",
			&fakeProm{score: vectorOf("a=1"), reads: vectorOf("a=101.6"), writes: vectorOf("a=103.3")},
			ok,
			map[string]tiering.Sample{"a": known(1, 100)},
		},
		{
			"an idle volume has the score zero and is known",
			&fakeProm{score: vectorOf("a=0"), reads: vectorOf("a=100"), writes: vectorOf("a=100")},
			ok,
			map[string]tiering.Sample{"a": known(0, 100)},
		},
		{
			"NaN is unknown",
			withScore(vectorOf("a=NaN")), ok, why("The score is NaN"),
		},
		{
			"Inf is unknown",
			withScore(vectorOf("a=+Inf")), ok, why("The score is infinite"),
		},
		{
			"a negative score is unknown",
			withScore(vectorOf("a=-1")), ok, why("The score is negative"),
		},
		{
			"a NaN coverage is unknown",
			&fakeProm{score: vectorOf("a=1"), reads: vectorOf("a=NaN"), writes: vectorOf("a=100")},
			ok, why("The coverage by volume_num_read_ops is NaN"),
		},
		{
			"a duplicate pv_name is unknown, whichever of its values comes last",
			withScore(vectorOf("a=5", "a=9000")), ok, why("The score is in the answer twice"),
		},
		{
			"a histogram is unknown, not zero",
			withScore(answer("vector", `[{"metric":{"pv_name":"a"},"histogram":[NOW,{"count":"3","sum":"1","buckets":[]}]}]`)),
			ok, why("The score is a histogram"),
		},
		{
			"an element without a pv_name belongs to no volume",
			withScore(answer("vector", `[{"metric":{},"value":[NOW,"7"]},{"metric":{"pv_name":"a"},"value":[NOW,"120.5"]}]`)),
			ok, one,
		},
		{
			"a vector with no pv_name at all is no data",
			withScore(answer("vector", `[{"metric":{"volume":"a"},"value":[NOW,"7"]}]`)),
			fault(BadAnswer, notIt+"a vector without the label pv_name"+then), nil,
		},
		{
			"an element without a value is no data, not zero",
			withScore(answer("vector", `[{"metric":{"pv_name":"a"}}]`)),
			fault(BadAnswer, notIt+"a value of another time than was asked for"+then), nil,
		},
		{
			"an answer of an hour ago is no data",
			withScore(answer("vector", `[{"metric":{"pv_name":"a"},"value":[946681200,"7"]}]`)),
			fault(BadAnswer, notIt+"a value of another time than was asked for"+then), nil,
		},
		{
			"a null element is no data",
			withScore(answer("vector", `[null]`)),
			fault(BadAnswer, notIt+"an empty element in a vector"+then), nil,
		},
		{
			"a volume with reads only is unknown",
			&fakeProm{score: vectorOf("a=1"), reads: vectorOf("a=100", "b=100"), writes: vectorOf("a=100")},
			ok,
			map[string]tiering.Sample{
				"a": known(1, 100),
				"b": tiering.UnknownSample("Prometheus has no sample of volume_num_write_ops in the window"),
			},
		},
		{
			"a volume with writes only is unknown",
			&fakeProm{score: vectorOf("a=1"), reads: vectorOf("a=100"), writes: vectorOf("a=100", "b=100")},
			ok,
			map[string]tiering.Sample{
				"a": known(1, 100),
				"b": tiering.UnknownSample("Prometheus has no sample of volume_num_read_ops in the window"),
			},
		},
		{
			"a score without coverage is unknown",
			&fakeProm{score: vectorOf("a=1", "b=2"), reads: vectorOf("a=100"), writes: vectorOf("a=100")},
			ok,
			map[string]tiering.Sample{
				"a": known(1, 100),
				"b": tiering.UnknownSample("Prometheus has no sample of volume_num_read_ops in the window"),
			},
		},
		{
			"coverage without a score, too few samples for a rate, is unknown",
			&fakeProm{score: vectorOf(), reads: vectorOf("a=2"), writes: vectorOf("a=2")},
			ok, why("The window holds too few samples for a rate"),
		},
		{
			"one counter missing altogether is no data",
			&fakeProm{score: vectorOf(), reads: vectorOf("a=100"), writes: vectorOf()},
			fault(OneSided, "Prometheus at prom.test:9090 has no sample of volume_num_write_ops in the window, "+blind+"; check the relabelling of the scrape."), nil,
		},
		{
			"empty vectors are no data, never zero",
			&fakeProm{score: vectorOf(), reads: vectorOf(), writes: vectorOf()},
			fault(NoData, "Prometheus at prom.test:9090 has no sample of volume_num_read_ops and volume_num_write_ops in the window, "+blind+"; check that it scrapes Mayastor's metrics exporter and that volumes are published."), nil,
		},
		{
			"a matrix is no data",
			withScore(answer("matrix", `[{"metric":{"pv_name":"a"},"values":[[NOW,"1"]]}]`)),
			fault(BadAnswer, notIt+"a matrix instead of a vector"+then), nil,
		},
		{
			"a scalar is no data",
			withScore(answer("scalar", `[NOW,"1"]`)),
			fault(BadAnswer, notIt+"a scalar instead of a vector"+then), nil,
		},
		{
			"null is no data",
			withScore(`null`),
			fault(BadAnswer, notIt+"no result instead of a vector"+then), nil,
		},
		{
			"a body cut short is no data",
			withScore(vectorOf("a=1")[:60]),
			fault(BadAnswer, notIt+"unexpected end of JSON input"+then), nil,
		},
		{
			"an HTML page is no data",
			withScore(`<html>please log in</html>`),
			fault(BadAnswer, notIt+"invalid character '<' looking for beginning of value"+then), nil,
		},
		{
			"an error in a 200 is no data",
			withScore(`{"status":"error","errorType":"execution","error":"query processing would load too many samples"}`),
			fault(QueryFailed, "Prometheus at prom.test:9090 answers with an error (query processing would load too many samples), "+blind+"; look at its log."), nil,
		},
		{
			"a warning is no data, as the answer may be partial",
			withScore(strings.Replace(vectorOf("a=1"), `"success"`, `"success","warnings":["store b: timeout","store a: timeout"]`, 1)),
			fault(PartialAnswer, "Prometheus at prom.test:9090 warns that its answer may be incomplete (store a: timeout), "+blind+"; look at the health of its storage and remote reads."), nil,
		},
		{
			"infos are remarks on style and change nothing",
			withScore(strings.Replace(vectorOf("a=120.5"), `"success"`, `"success","infos":["PromQL info: metric might not be a counter"]`, 1)),
			ok, one,
		},
		{
			"infos among the warnings, as of Prometheus 2, change nothing",
			withScore(strings.Replace(vectorOf("a=120.5"), `"success"`, `"success","warnings":["PromQL info: metric might not be a counter"]`, 1)),
			ok, one,
		},
		{
			"a 503 is no data",
			status(503, "Service Unavailable"),
			fault(QueryFailed, "Prometheus at prom.test:9090 answers with an error (server error: 503), "+blind+"; look at its log."), nil,
		},
		{
			"a 400 is no data and is told in the server's words",
			status(400, `{"status":"error","errorType":"bad_data","error":"parse error"}`),
			fault(QueryFailed, "Prometheus at prom.test:9090 answers with an error (parse error), "+blind+"; look at its log."), nil,
		},
		{
			"refused credentials are named",
			status(401, "Unauthorized"),
			fault(Unauthorized, "Prometheus at prom.test:9090 refuses the credentials (client error: 401), "+blind+"; check the file of --prometheus-http-config."), nil,
		},
		{
			"a query that Prometheus gives up is a time-out",
			withScore(`{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}`),
			fault(TimedOut, "Prometheus at prom.test:9090 answers with an error (query timed out in expression evaluation), "+blind+"; look at its log."), nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newTestPrometheus(t, c.prom, Observer{})
				got := p.Scores(t.Context(), time.Hour)
				want := tiering.Scores{Source: c.source, Samples: c.samples}
				if c.source.OK {
					want.ReadAt, want.Source.Since = time.Now(), time.Now()
				}
				if diff := cmp.Diff(got, want, sameSample); diff != "" {
					t.Errorf("got (-) want (+):\n%s", diff)
				}
				if !p.Tried() {
					t.Error("the source counts as not tried")
				}
			})
		})
	}
}

func TestPrometheusThatNeverAnswersIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := healthy()
		f.handle = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		p := newTestPrometheus(t, f, Observer{})
		start := time.Now()
		got := p.Scores(t.Context(), time.Hour)
		if took := time.Since(start); got.Source.Reason != NotReadYet || took != maxWait {
			t.Errorf("got %+v after %s, want %s after %s", got.Source, took, NotReadYet, maxWait)
		}
		if p.Tried() {
			t.Error("the source counts as tried before the first try ended")
		}
		time.Sleep(testLimits.Timeout - maxWait)
		synctest.Wait()
		got = p.Scores(t.Context(), time.Hour)
		want := tiering.Source{
			Reason:  TimedOut,
			Message: "Prometheus at prom.test:9090 did not answer within 20s, so scores are unknown and no new move starts; look at its load, or raise --prometheus-timeout.",
		}
		if diff := cmp.Diff(got.Source, want); diff != "" {
			t.Errorf("got (-) want (+):\n%s", diff)
		}
		if !p.Tried() {
			t.Error("the source counts as not tried after a time-out")
		}
	})
}

func TestScoresThatGrewOldWhileNobodyAskedAreNoData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := healthy()
		p := newTestPrometheus(t, f, Observer{})
		read := time.Now()
		p.Scores(t.Context(), time.Hour)
		time.Sleep(testLimits.Fresh())
		f.handle = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
		got := p.Scores(t.Context(), time.Hour)
		want := tiering.Scores{Source: tiering.Source{
			Reason:  TooOld,
			Message: "What Prometheus last said is too old to act on and it has not answered anew yet; no new move starts until it does.",
		}, ReadAt: read}
		if diff := cmp.Diff(got, want, sameSample); diff != "" {
			t.Errorf("got (-) want (+):\n%s", diff)
		}
	})
}

func TestFaultOfOurOwnIsNamedWithoutItsStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := healthy()
		f.handle = func(http.ResponseWriter, *http.Request) { panic("oh") }
		p := newTestPrometheus(t, f, Observer{})
		got := p.Scores(t.Context(), time.Hour).Source
		want := tiering.Source{
			Reason:  Internal,
			Message: "CoucheStor met a fault of its own while it read this source; the log of the service has it.",
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("got (-) want (+):\n%s", diff)
		}
	})
}

func TestPrometheusThatIsDownIsNamedWithoutPorts(t *testing.T) {
	srv := httptest.NewServer(healthy())
	srv.Close()
	p, err := NewPrometheus(PrometheusConfig{
		URL: "http://user:secret@" + srv.Listener.Addr().String(), ScrapeInterval: time.Minute,
		Limits: testLimits, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	got := p.Scores(t.Context(), time.Hour).Source
	want := tiering.Source{
		Reason: Unreachable,
		Message: "Prometheus at " + srv.Listener.Addr().String() +
			" cannot be reached (dial: connection refused), so scores are unknown and no new move starts; check --prometheus-url and that Prometheus runs.",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("got (-) want (+):\n%s", diff)
	}
}

func TestPrometheusDownKeepsTheLastScoresUntilTheyAreTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := healthy()
		p := newTestPrometheus(t, f, Observer{})
		p.Scores(t.Context(), time.Hour)
		f.handle = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
		time.Sleep(testLimits.Fresh())
		if got := p.Scores(t.Context(), time.Hour); !got.Source.OK || len(got.Samples) != 1 {
			t.Errorf("got %+v at the bound, want the last good scores", got)
		}
		time.Sleep(time.Nanosecond)
		got := p.Scores(t.Context(), time.Hour)
		if got.Source.OK || got.Source.Reason != QueryFailed || got.Samples != nil {
			t.Errorf("got %+v beyond the bound, want no data and no samples", got)
		}
		f.handle = nil
		time.Sleep(maxRetry)
		if got := p.Scores(t.Context(), time.Hour); !got.Source.OK {
			t.Errorf("got %+v, want the source back", got.Source)
		}
	})
}

func TestQueriesARoundAreThreePerWindowHoweverManyVolumes(t *testing.T) {
	for _, volumes := range []int{1, 10, 1000} {
		synctest.Test(t, func(t *testing.T) {
			names := make([]string, volumes)
			for i := range names {
				names[i] = fmt.Sprintf("pvc-%d=50", i)
			}
			f := &fakeProm{score: vectorOf(names...), reads: vectorOf(names...), writes: vectorOf(names...)}
			var observed int
			p := newTestPrometheus(t, f, Observer{Query: func(source string, _ time.Duration, err error) {
				if source != SourcePrometheus || err != nil {
					t.Errorf("observed %s, %v", source, err)
				}
				observed++
			}})
			// Ten policies, two windows.
			for i := range 10 {
				window := time.Hour
				if i%2 == 1 {
					window = 6 * time.Hour
				}
				if got := len(p.Scores(t.Context(), window).Samples); got != volumes {
					t.Fatalf("got %d samples, want %d", got, volumes)
				}
			}
			if f.queries() != 6 || observed != 6 {
				t.Errorf("%d volumes: %d queries, %d observed, want 3 for each of 2 windows", volumes, f.queries(), observed)
			}
		})
	}
}

func TestQueriesOfOneRoundAreEvaluatedAtOneInstant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := healthy()
		slow := healthy()
		f.handle = func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(1500 * time.Millisecond)
			slow.ServeHTTP(w, r)
		}
		p := newTestPrometheus(t, f, Observer{})
		time.Sleep(1234567 * time.Microsecond)
		at := strconv.FormatFloat(float64(time.Now().Truncate(time.Millisecond).UnixMilli())/1000, 'f', -1, 64)
		p.Scores(t.Context(), time.Hour)
		var times []string
		for _, a := range f.asked {
			times = append(times, a.time)
			if a.timeout != "20s" {
				t.Errorf("Prometheus was given %q for a query, want 20s", a.timeout)
			}
		}
		if diff := cmp.Diff(times, []string{at, at, at}); diff != "" {
			t.Errorf("got (-) want (+):\n%s", diff)
		}
	})
}

func TestWindowsOutOfRangeAreRefusedWithoutAQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := healthy()
		p := newTestPrometheus(t, f, Observer{})
		for _, c := range []struct {
			window  time.Duration
			message string
		}{
			{0, "A samplingWindow of 0s is shorter than 5 scrape intervals of 1m0s; choose at least 5m0s."},
			{-time.Hour, "A samplingWindow of -1h0m0s is shorter than 5 scrape intervals of 1m0s; choose at least 5m0s."},
			{5*time.Minute - 1, "A samplingWindow of 4m59.999999999s is shorter than 5 scrape intervals of 1m0s; choose at least 5m0s."},
			{24*time.Hour + 1, "A samplingWindow of 24h0m0.000000001s is longer than 24h0m0s; choose a shorter one."},
			{time.Hour + 1, "A samplingWindow of 1h0m0.000000001s has parts of a millisecond, which Prometheus does not know."},
		} {
			got := p.Scores(t.Context(), c.window)
			want := tiering.Scores{Source: tiering.Source{Reason: WindowRefused, Message: c.message}}
			if diff := cmp.Diff(got, want, sameSample); diff != "" {
				t.Errorf("got (-) want (+):\n%s", diff)
			}
		}
		if n := f.queries(); n != 0 {
			t.Errorf("%d queries, want none", n)
		}
		for _, w := range []time.Duration{5 * time.Minute, 24 * time.Hour} {
			if got := p.Scores(t.Context(), w); !got.Source.OK {
				t.Errorf("window %s: got %+v, want it read", w, got.Source)
			}
		}
	})
}

func TestWindowsAreBounded(t *testing.T) {
	window := func(i int) time.Duration { return time.Hour + time.Duration(i)*time.Minute }

	t.Run("what was asked for longest ago makes room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := healthy()
			p := newTestPrometheus(t, f, Observer{})
			for i := range 20 {
				time.Sleep(time.Second)
				if got := p.Scores(t.Context(), window(i)); !got.Source.OK {
					t.Fatalf("window %d: %+v", i, got.Source)
				}
			}
			if len(p.windows) != maxWindows {
				t.Errorf("%d windows are kept, want %d", len(p.windows), maxWindows)
			}
			n := f.queries()
			p.Scores(t.Context(), window(19))
			if f.queries() != n {
				t.Error("the newest window was given up")
			}
			p.Scores(t.Context(), window(0))
			if f.queries() != n+3 {
				t.Error("the oldest window was kept")
			}
		})
	})

	t.Run("a window that nobody asks for is given up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := newTestPrometheus(t, healthy(), Observer{})
			p.Scores(t.Context(), window(0))
			time.Sleep(idleWindow + 1)
			p.Scores(t.Context(), window(1))
			if _, kept := p.windows[window(0)]; kept || len(p.windows) != 1 {
				t.Errorf("%d windows are kept, want the one in use", len(p.windows))
			}
		})
	})

	t.Run("with every place being read a further one is refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := healthy()
			f.handle = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
			p := newTestPrometheus(t, f, Observer{})
			var wg sync.WaitGroup
			for i := range maxWindows {
				wg.Go(func() { p.Scores(t.Context(), window(i)) })
			}
			synctest.Wait()
			if got := p.Scores(t.Context(), window(99)).Source; got.Reason != TooManyWindows {
				t.Errorf("got %+v, want %s", got, TooManyWindows)
			}
			wg.Wait()
		})
	})
}

func TestStateIsThatOfTheWorstWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := healthy()
		p := newTestPrometheus(t, f, Observer{})
		if got := p.State(); got != (State{}) {
			t.Errorf("got %+v before the first reading, want nothing", got)
		}
		first := time.Now()
		p.Scores(t.Context(), time.Hour)
		time.Sleep(time.Second)
		p.Scores(t.Context(), 2*time.Hour)
		if got, want := p.State(), (State{Tried: true, Up: true, Read: first}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		f.handle = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }
		time.Sleep(testLimits.TTL)
		p.Scores(t.Context(), time.Hour)
		if got, want := p.State(), (State{Tried: true, Up: false, Read: first, Reason: QueryFailed}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestReadingsAreObservedWithTheirReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := healthy()
		var reasons []string
		p := newTestPrometheus(t, f, Observer{Reading: func(source, reason string) {
			reasons = append(reasons, source+":"+reason)
		}})
		p.Scores(t.Context(), time.Hour)
		f.handle = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }
		time.Sleep(testLimits.TTL)
		p.Scores(t.Context(), time.Hour)
		if diff := cmp.Diff(reasons, []string{"prometheus:", "prometheus:QueryFailed"}); diff != "" {
			t.Errorf("got (-) want (+):\n%s", diff)
		}
	})
}

func TestLogSpeaksOnlyWhenTheStateChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := healthy()
		var log strings.Builder
		p, err := NewPrometheus(PrometheusConfig{
			URL: "http://prom.test:9090", Transport: f, ScrapeInterval: time.Minute, Limits: testLimits,
			Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}})),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		round := func() { p.Scores(t.Context(), time.Hour); time.Sleep(time.Minute) }
		round()
		round()
		f.handle = func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500) }
		round()
		round()
		f.handle = nil
		round()
		want := `level=WARN msg="source is no data" source=prometheus window=1h reason=QueryFailed err="QueryFailed: server_error: server error: 500"
level=INFO msg="source is back" source=prometheus window=1h
`
		if diff := cmp.Diff(log.String(), want); diff != "" {
			t.Errorf("got (-) want (+):\n%s", diff)
		}
	})
}

func TestAnswerThatNeverEndsIsCutOff(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		block := []byte(strings.Repeat(" ", 1<<16))
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	}))
	defer srv.Close()
	c, err := newPromClient(srv.URL, nil, nil, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	c.http.Transport.(*cappedTransport).limit = 1 << 20
	err = c.vector(t.Context(), "up", time.Now(), newReading(nil), scoreVector)
	if got := asFault(err); got.Reason != BadAnswer || !strings.Contains(got.Message, "more than 64 MiB") {
		t.Errorf("got %v, want the answer refused for its length", err)
	}
}

func TestHTTPConfigFile(t *testing.T) {
	for _, c := range []struct {
		name, yaml string
		tls        bool
		want       string // the Authorization header, or "" for none
	}{
		{"no file sends no credentials", "", false, ""},
		{"bearer token from a file beside it", "authorization: {credentials_file: token}\n", false, "Bearer s3cret"},
		{"basic auth", "basic_auth: {username: couche, password_file: token}\n", false, "Basic Y291Y2hlOnMzY3JldA=="},
		{"TLS with a certificate authority beside it", "tls_config: {ca_file: ca.pem}\n", true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var header string
			fake := healthy()
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				header = r.Header.Get("Authorization")
				fake.ServeHTTP(w, r)
			})
			srv := httptest.NewServer(h)
			if c.tls {
				srv.Close()
				srv = httptest.NewTLSServer(h)
			}
			defer srv.Close()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "token"), "s3cret\n")
			if c.tls {
				write(t, filepath.Join(dir, "ca.pem"), pemOf(srv))
			}
			var httpConfig *config.HTTPClientConfig
			if c.yaml != "" {
				path := filepath.Join(dir, "http.yaml")
				write(t, path, c.yaml)
				var err error
				if httpConfig, err = LoadHTTPConfig(path); err != nil {
					t.Fatal(err)
				}
			}
			p, err := NewPrometheus(PrometheusConfig{
				URL: srv.URL, HTTP: httpConfig, ScrapeInterval: time.Minute,
				Limits: testLimits, Log: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if got := p.Scores(t.Context(), time.Hour).Source; !got.OK {
				t.Fatalf("got %+v", got)
			}
			if header != c.want {
				t.Errorf("got the header %q, want %q", header, c.want)
			}
		})
	}
}

func TestHTTPConfigFileWithAFaultIsRefused(t *testing.T) {
	for _, c := range []struct{ name, yaml, want string }{
		{"unknown field", "bearer: x\n", "field bearer not found"},
		{"two ways to authorize", "basic_auth: {username: a}\nauthorization: {credentials: b}\n", "at most one of"},
		{"no YAML", "\t\n", "yaml"},
		{"token file that is not there", "authorization: {credentials_file: nowhere}\n", "nowhere: no such file"},
		{"certificate file that is not there", "tls_config: {ca_file: nowhere}\n", "nowhere: no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "http.yaml")
			write(t, path, c.yaml)
			_, err := LoadHTTPConfig(path)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want it to tell %q", err, c.want)
			}
		})
	}
}

func pemOf(srv *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestClipKeepsOneShortLine(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"a\n  b\tc", "a b c"},
		{strings.Repeat("x", 200), strings.Repeat("x", 200)},
		{strings.Repeat("x", 201), strings.Repeat("x", 200) + "…"},
		{strings.Repeat("ü", 150), strings.Repeat("ü", 100) + "…"},
		{"bad \xff byte", "bad ? byte"},
	} {
		if got := clip(c.in); got != c.want {
			t.Errorf("clip(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

package prometheus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/api"
	apiv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// epoch is the "now" of all tests that choose their times: a whole hour, so
// that steps of subqueries are aligned to it.
var epoch = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// start runs a Prometheus for the test.
func start(t testing.TB, cfg Config) *Prometheus {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	p, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

// client is the client library the product uses.
func client(t testing.TB, p *Prometheus) apiv1.API {
	t.Helper()
	c, err := api.NewClient(api.Config{Address: p.URL()})
	if err != nil {
		t.Fatal(err)
	}
	return apiv1.NewAPI(c)
}

// query is an instant query through the client; warnings fail the test.
func query(t testing.TB, p *Prometheus, expr string, at time.Time) model.Vector {
	t.Helper()
	v, warnings, _, err := client(t, p).Query(t.Context(), expr, at)
	if err != nil {
		t.Fatalf("query %s: %v", expr, err)
	}
	if len(warnings) > 0 {
		t.Fatalf("query %s: warnings %q", expr, warnings)
	}
	return v.(model.Vector)
}

// values renders a vector as series -> value.
func values(v model.Vector) map[string]float64 {
	m := map[string]float64{}
	for _, s := range v {
		m[s.Metric.String()] = float64(s.Value)
	}
	return m
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAppendedSamplesAreFoundAtTheirTime(t *testing.T) {
	p := start(t, Config{})
	series := map[string]string{"__name__": "m", "a": "1"}
	must(t, p.Append(series, epoch, 1))
	must(t, p.Append(series, epoch.Add(time.Minute), 2))

	for _, c := range []struct {
		name string
		at   time.Time
		want map[string]float64
	}{
		{"before the first sample there is none", epoch.Add(-time.Millisecond), map[string]float64{}},
		{"at its time", epoch, map[string]float64{`m{a="1"}`: 1}},
		{"the newest wins", epoch.Add(time.Minute), map[string]float64{`m{a="1"}`: 2}},
		{"five minutes later it is too old", epoch.Add(6 * time.Minute), map[string]float64{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(values(query(t, p, "m", c.at)), c.want); diff != "" {
				t.Errorf("got - want:\n%s", diff)
			}
		})
	}
}

func TestASeriesFedAfterANewerOneIsKept(t *testing.T) {
	p := start(t, Config{})
	must(t, p.Append(map[string]string{"__name__": "m", "a": "late"}, epoch, 1))
	must(t, p.Append(map[string]string{"__name__": "m", "a": "early"}, epoch.Add(-24*time.Hour), 2))
	got := values(query(t, p, "m", epoch.Add(-24*time.Hour)))
	if diff := cmp.Diff(got, map[string]float64{`m{a="early"}`: 2}); diff != "" {
		t.Errorf("got - want:\n%s", diff)
	}
}

func TestSamplesOfOneSeriesDoNotGoBackInTime(t *testing.T) {
	p := start(t, Config{})
	series := map[string]string{"__name__": "m"}
	must(t, p.Append(series, epoch, 1))
	if err := p.Append(series, epoch.Add(-time.Second), 1); err == nil {
		t.Error("a sample before the last one was taken without an error")
	}
}

func TestAStaleSeriesIsGoneAtOnce(t *testing.T) {
	p := start(t, Config{})
	series := map[string]string{"__name__": "m"}
	must(t, p.Append(series, epoch, 1))
	must(t, p.AppendStale(series, epoch.Add(time.Second)))
	if got := query(t, p, "m", epoch.Add(time.Second)); len(got) != 0 {
		t.Errorf("after the stale marker: %v, want nothing", got)
	}
}

func TestDarkDropsRequestsAndLightAnswersThemAgain(t *testing.T) {
	p := start(t, Config{})
	must(t, p.Append(map[string]string{"__name__": "m"}, epoch, 1))
	url := p.URL()

	p.Dark()
	if v, _, _, err := client(t, p).Query(t.Context(), "m", epoch); err == nil {
		t.Errorf("in the dark a query was answered: %v", v)
	}
	if resp, err := http.Get(p.URL() + "/-/ready"); err == nil {
		resp.Body.Close()
		t.Errorf("in the dark /-/ready answered %s", resp.Status)
	}

	p.Light()
	if got := query(t, p, "m", epoch); len(got) != 1 {
		t.Errorf("after Light the query found %v, want one series", got)
	}
	if p.URL() != url {
		t.Errorf("URL changed from %s to %s", url, p.URL())
	}
}

func TestRestartServesWhatWasOnDiskUnderTheSameURL(t *testing.T) {
	p := start(t, Config{})
	series := map[string]string{"__name__": "m"}
	must(t, p.Append(series, epoch, 1))
	url := p.URL()

	err := p.Restart(t.Context(), func() {
		resp, err := http.Get(p.URL() + "/api/v1/query?query=m")
		if err != nil {
			t.Errorf("while down: %v, want an answer 503", err)
			return
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("while down: status %s, want 503", resp.Status)
		}
		if err := p.Append(series, epoch, 2); err == nil {
			t.Error("while down a sample was stored")
		}
	})
	must(t, err)

	if p.URL() != url {
		t.Errorf("URL changed from %s to %s", url, p.URL())
	}
	if diff := cmp.Diff(values(query(t, p, "m", epoch)), map[string]float64{"m": 1}); diff != "" {
		t.Errorf("got - want:\n%s", diff)
	}
	must(t, p.Append(series, epoch.Add(time.Second), 3))
}

func TestARestartThatFailedCanBeTriedAgain(t *testing.T) {
	p := start(t, Config{})
	series := map[string]string{"__name__": "m"}
	must(t, p.Append(series, epoch, 1))
	lock := filepath.Join(p.cfg.Dir, "lock")
	err := p.Restart(t.Context(), func() {
		must(t, os.RemoveAll(lock))
		must(t, os.Mkdir(lock, 0o755))
	})
	if err == nil {
		t.Fatal("Restart did not fail on a TSDB that cannot be locked")
	}
	if status, _ := request(t, http.MethodGet, p.URL()+"/-/ready", ""); status != http.StatusServiceUnavailable {
		t.Errorf("after a failed Restart: status %d, want 503", status)
	}
	must(t, os.RemoveAll(lock))
	must(t, p.Restart(t.Context(), nil))
	if got := query(t, p, "m", epoch); len(got) != 1 {
		t.Errorf("got %v, want the sample of before", got)
	}
}

func TestCloseIsFinal(t *testing.T) {
	dir := t.TempDir()
	p, err := Start(t.Context(), Config{Dir: dir})
	must(t, err)
	must(t, p.Close())
	must(t, p.Close())
	if err := p.Append(map[string]string{"__name__": "m"}, epoch, 1); err == nil {
		t.Error("a sample was stored after Close")
	}
	if err := p.Restart(t.Context(), nil); err == nil {
		t.Error("Restart after Close did not fail")
	}
	if _, err := http.Get(p.URL() + "/-/ready"); err == nil {
		t.Error("the server answers after Close")
	}
	again, err := Start(t.Context(), Config{Dir: dir}) // the directory's lock is free again
	must(t, err)
	must(t, again.Close())
}

func TestStartRefusesWhatItCannotDo(t *testing.T) {
	taken := start(t, Config{})
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"a negative interval", Config{Dir: t.TempDir(), ScrapeInterval: -time.Second}, "must be whole milliseconds"},
		{"an interval below a millisecond", Config{Dir: t.TempDir(), ScrapeInterval: time.Microsecond}, "must be whole milliseconds"},
		{"a port in use", Config{Dir: t.TempDir(), Listen: strings.TrimPrefix(taken.URL(), "http://")}, "listen on"},
		{"a TSDB in use", Config{Dir: taken.cfg.Dir}, "open TSDB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Start(t.Context(), c.cfg)
			if err == nil {
				p.Close()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not contain %q", err, c.want)
			}
		})
	}
}

func TestAnInstantQueryIsAnsweredOverGETAndPOST(t *testing.T) {
	p := start(t, Config{})
	must(t, p.Append(map[string]string{"__name__": "m", "a": "1"}, epoch, 1.5))
	want := fmt.Sprintf(`{"status":"success","data":{"resultType":"vector","result":[`+
		`{"metric":{"__name__":"m","a":"1"},"value":[%d,"1.5"]}]}}`, epoch.Unix())
	form := fmt.Sprintf("query=m&time=%d&timeout=30s", epoch.Unix())

	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			status, body := request(t, method, p.URL()+"/api/v1/query", form)
			if status != http.StatusOK {
				t.Errorf("status %d", status)
			}
			if body != want {
				t.Errorf("got  %s\nwant %s", body, want)
			}
		})
	}
}

// request sends a form as the query string of a GET or the body of a POST.
func request(t *testing.T, method, url, form string) (int, string) {
	t.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(form)
	} else {
		url += "?" + form
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	must(t, err)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(text)
}

func TestARangeQueryIsAnswered(t *testing.T) {
	p := start(t, Config{})
	must(t, p.Append(map[string]string{"__name__": "m"}, epoch, 1))
	must(t, p.Append(map[string]string{"__name__": "m"}, epoch.Add(time.Minute), 2))
	v, _, _, err := client(t, p).QueryRange(t.Context(), "m", apiv1.Range{
		Start: epoch, End: epoch.Add(time.Minute), Step: 30 * time.Second,
	})
	must(t, err)
	matrix := v.(model.Matrix)
	if len(matrix) != 1 {
		t.Fatalf("got %v, want one series", matrix)
	}
	var got []float64
	for _, s := range matrix[0].Values {
		got = append(got, float64(s.Value))
	}
	if diff := cmp.Diff(got, []float64{1, 1, 2}); diff != "" {
		t.Errorf("got - want:\n%s", diff)
	}
}

func TestErrorsHaveTheClassAndStatusOfPrometheus(t *testing.T) {
	p := start(t, Config{})
	must(t, p.Append(map[string]string{"__name__": "m", "a": "1"}, epoch, 1))
	must(t, p.Append(map[string]string{"__name__": "m", "a": "2"}, epoch, 1))
	now := fmt.Sprint(epoch.Unix())

	for _, c := range []struct {
		name   string
		path   string
		form   string
		status int
		class  apiv1.ErrorType
	}{
		{"an expression that does not parse", "query", "query=sum(", 400, apiv1.ErrBadData},
		{"a time that does not parse", "query", "query=m&time=noon", 400, apiv1.ErrBadData},
		{"a timeout that does not parse", "query", "query=m&timeout=soon", 400, apiv1.ErrBadData},
		{"a range without a step", "query_range", "query=m&start=" + now + "&end=" + now, 400, apiv1.ErrBadData},
		{"a timeout that runs out", "query", "query=m&timeout=1e-9", 503, apiv1.ErrTimeout},
		{"an expression that cannot be evaluated", "query", "query=m*on()m&time=" + now, 422, apiv1.ErrExec},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, body := request(t, http.MethodPost, p.URL()+"/api/v1/"+c.path, c.form)
			if status != c.status {
				t.Errorf("status %d, want %d", status, c.status)
			}
			start := `{"status":"error","errorType":"` + string(c.class) + `","error":"`
			if !strings.HasPrefix(body, start) {
				t.Errorf("got %s\nwant it to begin with %s", body, start)
			}
		})
	}

	t.Run("the client library sees the class", func(t *testing.T) {
		_, _, _, err := client(t, p).Query(t.Context(), "sum(", epoch)
		e, ok := errors.AsType[*apiv1.Error](err)
		if !ok || e.Type != apiv1.ErrBadData {
			t.Errorf("got %v, want class %s", err, apiv1.ErrBadData)
		}
	})
}

func TestInfosAndWarningsAreToldApart(t *testing.T) {
	p := start(t, Config{})
	must(t, p.Append(map[string]string{"__name__": "m"}, epoch.Add(-time.Minute), 1))
	must(t, p.Append(map[string]string{"__name__": "m"}, epoch, 1))

	for _, c := range []struct {
		name            string
		expr            string
		infos, warnings int
	}{
		{"a plain query has neither", "m", 0, 0},
		{"a rate of what is not named as a counter is an info", "rate(m[5m])", 1, 0},
		{"a quantile out of range is a warning", "quantile(2, m)", 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, warnings, infos, err := client(t, p).Query(t.Context(), c.expr, epoch)
			must(t, err)
			if len(infos) != c.infos || len(warnings) != c.warnings {
				t.Errorf("infos %q, warnings %q; want %d and %d", infos, warnings, c.infos, c.warnings)
			}
		})
	}
}

func TestReadinessAndBuild(t *testing.T) {
	p := start(t, Config{})
	for _, path := range []string{"/-/ready", "/-/healthy"} {
		if status, body := request(t, http.MethodGet, p.URL()+path, ""); status != 200 {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	build, err := client(t, p).Buildinfo(t.Context())
	must(t, err)
	if build.Version != Version {
		t.Errorf("version %s, want %s", build.Version, Version)
	}
	if status, _ := request(t, http.MethodGet, p.URL()+"/api/v1/alerts", ""); status != http.StatusNotFound {
		t.Errorf("a part of the API that is not wired answers %d, want 404", status)
	}
}

func TestVersionIsThatOfTheLibrary(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	must(t, err)
	found := regexp.MustCompile(`github.com/prometheus/prometheus v0\.(\d)(\d\d)\.(\d+)`).FindSubmatch(mod)
	if found == nil {
		t.Fatal("go.mod does not require github.com/prometheus/prometheus v0.xyy.z")
	}
	want := fmt.Sprintf("%s.%s.%s", found[1], found[2], found[3])
	if Version != want {
		t.Errorf("Version is %s, go.mod says %s", Version, want)
	}
}

func TestAQueryEndsWithItsClient(t *testing.T) {
	p := start(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, _, err := client(t, p).Query(ctx, "m", epoch); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

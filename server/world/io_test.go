package world

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIOQueryIsOneVectorOfThreeFigures(t *testing.T) {
	got := IOQuery(`pvc-"a\`, time.Hour, time.Minute, time.Minute)
	rate := func(counter string) string {
		return `avg_over_time((max by (pv_name) (rate(` + counter + `{pv_name="pvc-\"a\\"}[2m])))[1h:1m])`
	}
	want := `label_replace(` + rate("volume_num_read_ops") + ` + ` + rate("volume_num_write_ops") + `, "figure", "iops", "", "")` +
		` or label_replace(` + rate("volume_read_latency_us") + ` + ` + rate("volume_write_latency_us") + `, "figure", "busy", "", "")` +
		` or label_replace(100 * sum_over_time((max by (pv_name) (present_over_time(volume_num_read_ops{pv_name="pvc-\"a\\"}[1m6s])))[1h:1m]) / scalar(count_over_time(vector(1)[1h:1m])), "figure", "coverage", "", "")`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestIO(t *testing.T) {
	figures := func(pairs ...string) string {
		var all []string
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, `{"metric":{"pv_name":"a","figure":"`+pairs[i]+`"},"value":[NOW,"`+pairs[i+1]+`"]}`)
		}
		return answer("vector", "["+strings.Join(all, ",")+"]")
	}
	for _, c := range []struct {
		name, body string
		want       IO
		// reason and says are of the fault, "" for none.
		reason, says string
	}{
		{name: "the mean time of an operation is busy time by operations", body: figures("iops", "250", "busy", "500000", "coverage", "95"), want: IO{95, 250, 2000}},
		{name: "an idle volume has no latency", body: figures("iops", "0", "busy", "0", "coverage", "100"), want: IO{CoveragePercent: 100}},
		{name: "no samples", body: figures()},
		{name: "a coverage without a rate is nothing", body: figures("coverage", "3")},
		{name: "operations without their times are nothing", body: figures("iops", "250", "coverage", "100")},
		{name: "a coverage beyond the whole is the whole", body: figures("iops", "1", "busy", "5", "coverage", "101.6"), want: IO{100, 1, 5}},
		{name: "NaN is no number", body: figures("iops", "NaN", "busy", "1", "coverage", "100"), reason: BadAnswer, says: "no number of iops"},
		{name: "nor is an infinite one", body: figures("iops", "1", "busy", "+Inf", "coverage", "100"), reason: BadAnswer, says: "no number of busy"},
		{name: "a figure twice", body: figures("iops", "1", "iops", "2"), reason: BadAnswer, says: "the same twice"},
		{name: "an answer to something else", body: vectorOf("a=120"), reason: BadAnswer, says: "nothing of what was asked for"},
		{
			name: "a value of another time", body: strings.ReplaceAll(figures("iops", "1"), "NOW", "1"),
			reason: BadAnswer, says: "another time",
		},
		{
			name: "an error", body: `{"status":"error","errorType":"execution","error":"too many samples"}`,
			reason: QueryFailed, says: "(too many samples), so what volumes did before and after their moves is unknown",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := &fakeProm{score: c.body}
				fake.handle = func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(strings.ReplaceAll(c.body, "NOW", r.FormValue("time"))))
				}
				p := newTestPrometheus(t, fake, Observer{})
				to := time.Now().Add(-24 * time.Hour)
				got, err := p.IO(t.Context(), "a", to.Add(-time.Hour), to)
				fault, _ := errors.AsType[*Fault](err)
				if (err == nil) != (c.reason == "") || err != nil && (fault.Reason != c.reason || !strings.Contains(fault.Message, c.says)) {
					t.Fatalf("got %v, want %s that says %q", err, c.reason, c.says)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if fake.queries() != 1 {
					t.Errorf("got %d queries, want one", fake.queries())
				}
			})
		})
	}
}

func TestIOOverTooShortATimeIsRefusedWithoutAQuery(t *testing.T) {
	fake := healthy()
	p := newTestPrometheus(t, fake, Observer{})
	at := time.Now()
	_, err := p.IO(t.Context(), "a", at.Add(-4*time.Minute), at)
	if fault, ok := errors.AsType[*Fault](err); !ok || fault.Reason != WindowRefused || fake.queries() != 0 {
		t.Errorf("got %v after %d queries", err, fake.queries())
	}
}

// refusing is a network on which nobody listens.
type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("connection refused")
}

func TestPrometheusDownIsAFaultOfIO(t *testing.T) {
	down := refusing{}
	p := newTestPrometheus(t, down, Observer{})
	at := time.Now()
	_, err := p.IO(t.Context(), "a", at.Add(-time.Hour), at)
	fault, ok := errors.AsType[*Fault](err)
	if !ok || fault.Reason != Unreachable || strings.Contains(fault.Message, noScores) {
		t.Errorf("got %v", err)
	}
}

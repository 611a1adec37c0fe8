package server

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/tiering"
)

// shows asserts that a collector's metrics of one name are those of want, each
// without its name.
func shows(t *testing.T, c prometheus.Collector, name string, want ...string) {
	t.Helper()
	m := metric(name)
	text := "# HELP " + name + " " + m.Help + "\n# TYPE " + name + " " + m.Type + "\n"
	for _, line := range want {
		text += name + line + "\n"
	}
	if len(want) == 0 {
		text = ""
	}
	if err := testutil.CollectAndCompare(c, strings.NewReader(text), name); err != nil {
		t.Error(err)
	}
}

func TestPolicyThatIsGoneHasNoSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		empty := testutil.CollectAndCount(r)
		plan, status := decided(time.Now())
		r.decided("db", plan, status)
		if testutil.CollectAndCount(r) == empty {
			t.Fatal("a policy has no series")
		}
		r.gone("db")
		if got := testutil.CollectAndCount(r); got != empty {
			t.Errorf("got %d series, want the %d that are of no policy", got, empty)
		}
	})
}

func TestResultsCountOnceHoweverOftenTheServiceRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, status := decided(time.Now())
		const name = "couchestor_moved_bytes_total"
		want := []string{
			`{direction="demotion",policy="db"} 10`,
			`{direction="other",policy="db"} 0`,
			`{direction="promotion",policy="db"} 40`,
		}
		for range 3 {
			r := newRounds()
			for range 5 {
				r.decided("db", nil, status)
				shows(t, r, name, want...)
			}
		}
		tiering.Record(status, tiering.HistoryEntry{
			JobName: "new", FromTier: "hot", ToTier: "cold", Outcome: "moved", Bytes: 5, Timestamp: metav1.NewTime(time.Now()),
		})
		r := newRounds()
		r.decided("db", nil, status)
		want[0] = `{direction="demotion",policy="db"} 15`
		shows(t, r, name, want...)
	})
}

func TestStartsCountOnceAndOnlyThoseOfThisProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := func(r *rounds, demotions, promotions string) {
			t.Helper()
			shows(t, r, "couchestor_moves_started_total",
				`{direction="demotion",policy="db"} `+demotions,
				`{direction="other",policy="db"} 0`,
				`{direction="promotion",policy="db"} `+promotions)
		}
		r := newRounds()
		time.Sleep(time.Minute)
		plan, status := decided(time.Now())
		for range 3 {
			r.decided("db", plan, status)
			started(r, "0", "1") // what runs; the history began hours ago
		}

		// The same Job ends, and another one came and went between two rounds.
		end := func(job, to string) tiering.HistoryEntry {
			return tiering.HistoryEntry{
				JobName: job, FromTier: "warm", ToTier: to, Outcome: "failed", Duration: "20s", Timestamp: metav1.NewTime(time.Now()),
			}
		}
		time.Sleep(30 * time.Second)
		tiering.Record(status, end("couchestor-6-1", "hot"), end("couchestor-9-4", "cold"))
		r.decided("db", nil, status)
		started(r, "1", "1")
		byHand := end("couchestor-9-5", "cold")
		byHand.Trigger = tiering.TriggerByHand
		tiering.Record(status, byHand)
		r.decided("db", nil, status)
		started(r, "1", "1")

		time.Sleep(time.Minute)
		again := newRounds()
		again.decided("db", plan, status)
		started(again, "0", "0") // all of it was the predecessor's
	})
}

func TestAgesAreThoseOfTheScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		plan, status := decided(time.Now())
		plan.Decisions[5].Volume.Live.Deadline = time.Now().Add(time.Minute)
		r.decided("db", plan, status)
		shows(t, r, "couchestor_overdue_moves", `{policy="db"} 0`)
		shows(t, r, "couchestor_active_move_age_seconds", `{policy="db"} 0`)
		time.Sleep(2 * time.Minute)
		shows(t, r, "couchestor_overdue_moves", `{policy="db"} 1`)
		shows(t, r, "couchestor_active_move_age_seconds", `{policy="db"} 120`)
		shows(t, r, "couchestor_wish_age_seconds", `{policy="db"} 7320`)
	})
}

func TestTiersHaveNoFillWhileMayastorIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRounds()
		plan, status := decided(time.Now())
		plan.World().Mayastor.OK = false
		r.decided("db", plan, status)
		shows(t, r, "couchestor_tier_used_bytes")
	})
}

func TestModeIsOneOfTheWords(t *testing.T) {
	for mode, want := range map[string]string{"Active": "Active", "Blind": "Blind", "": "Other", "Sleeping": "Other"} {
		r := newRounds()
		r.decided("db", nil, &tiering.StoragePolicyStatus{Mode: mode})
		var lines []string
		for _, word := range slices.Sorted(slices.Values(append(tiering.Modes(), otherMode))) {
			value := " 0"
			if word == want {
				value = " 1"
			}
			lines = append(lines, `{mode="`+word+`",policy="db"}`+value)
		}
		shows(t, r, "couchestor_policy_mode", lines...)
	}
}

func TestLabelsStayBoundedWhateverTheStatusSays(t *testing.T) {
	r := newRounds()
	r.decided("db", nil, &tiering.StoragePolicyStatus{})
	want := testutil.CollectAndCount(r)
	r.decided("db", nil, &tiering.StoragePolicyStatus{Results: []tiering.ResultCount{
		{Direction: "sideways", Outcome: "moved", Trigger: "automatic", Count: 1},
		{Direction: "demotion", Outcome: "lost", Trigger: "automatic", Count: 1},
		{Direction: "demotion", Outcome: "failed", Trigger: "witchcraft", Count: 1},
	}})
	if got := testutil.CollectAndCount(r); got != want {
		t.Errorf("got %d series, want %d", got, want)
	}
	r.decided("d\xffb", nil, &tiering.StoragePolicyStatus{
		MigrationHistory: []tiering.HistoryEntry{{JobName: "j", VolumeName: "p\xff", Claim: "\xff", Outcome: "moved"}},
	})
	if problems, err := testutil.CollectAndLint(r); err != nil || len(problems) > 0 {
		t.Errorf("a name that is no text costs the scrape: %v %v", problems, err)
	}
}

func TestScoresAreCountedByTheirBound(t *testing.T) {
	for iops, want := range map[float64]string{0: "1", 1: "1", 1.1: "5", 500: "500", 500.1: "1000", 100000: "100000", 100001: "+Inf"} {
		if got := atMost(bound(iops)); got != want {
			t.Errorf("%g IOPS: got %s, want %s", iops, got, want)
		}
	}
	if !slices.IsSorted(scoreBounds[:]) {
		t.Error("the bounds are not in order")
	}
}

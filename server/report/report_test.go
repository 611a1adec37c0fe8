package report

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/billyronks/couchestor/tiering"
)

func TestAVolumeIsThatOfThePolicyThatWinsIt(t *testing.T) {
	in := town(t)
	subjects, foreign := divide(in.Plans)
	seen := map[string]string{}
	for _, s := range subjects {
		for _, v := range s.volumes {
			if was, twice := seen[v.Volume]; twice {
				t.Errorf("%s is that of %s and of %s", v.Volume, was, s.Policy)
			}
			seen[v.Volume] = s.Policy
		}
	}
	if seen["pvc-web-front"] != "web" || seen["pvc-shop-busy"] != "db" || len(seen) != 10 || foreign != 2 {
		t.Errorf("got %v and %d of others", seen, foreign)
	}
}

// Every volume with a score has one mark, within the chart, and the others are
// counted.
func TestNoVolumeIsLostInTheChart(t *testing.T) {
	for name, of := range inputs() {
		t.Run(name, func(t *testing.T) {
			in := of(t)
			subjects, _ := divide(in.Plans)
			for _, s := range subjects {
				if len(s.volumes) == 0 {
					continue
				}
				h := heatOf(s, 0)
				marks, scored, counted := 0, 0, 0
				for _, v := range s.volumes {
					if v.ScoreIOPS != nil {
						scored++
					}
				}
				for i, r := range h.Rows {
					for _, d := range r.Dots {
						marks++
						if d.X < 0 || d.X > 100 || d.Y < r.Y || d.Y > r.Bottom {
							t.Errorf("%+v is outside of its row %+v", d, r)
						}
					}
					for _, b := range r.Bars {
						if b.X < 0 || b.X+b.Width > 100 || b.Height <= 0 || b.Y < r.Y || b.Y+b.Height > r.Bottom {
							t.Errorf("%+v is outside of its row", b)
						}
					}
					m := h.Matrix[i]
					counted += m.Hot + m.Warm + m.Cold + m.Stay + m.Unknown
				}
				if !h.Dense && marks != scored {
					t.Errorf("got %d dots for %d scores", marks, scored)
				}
				if counted != len(s.volumes) {
					t.Errorf("the table counts %d of %d volumes", counted, len(s.volumes))
				}
				for _, m := range h.Marks {
					if m.X <= 0 || m.X >= 100 {
						t.Errorf("watermark %s is at %v, and nobody sees what is beyond", m.Label, m.X)
					}
				}
			}
		})
	}
}

func TestDotsOfOneScoreDoNotLieOnEachOther(t *testing.T) {
	for n := 1; n <= 60; n++ {
		seen := map[int]bool{}
		for i := range n {
			at := shuffled(i, n)
			if at < 0 || at >= n || seen[at] {
				t.Fatalf("of %d, place %d is taken twice or beyond", n, at)
			}
			seen[at] = true
		}
	}
}

func TestHotVolumesServedFast(t *testing.T) {
	r := New(town(t))
	// loud and back are on hot; running is under way; half and busy are next;
	// cooling is held. detached has no score, and 4800 IOPS are not hot.
	if r.Served.Total.Share != "33"+thin+"%" {
		t.Errorf("got %s", r.Served.Total.Share)
	}
	for _, part := range []string{"2 of 6 hot volumes", "1 moving", "2 to move next", "1 held elsewhere"} {
		if !strings.Contains(r.Served.Total.Note, part) {
			t.Errorf("%q does not say %q", r.Served.Total.Note, part)
		}
	}
	if !strings.HasPrefix(r.Served.Unknown, "1 volume without a score") {
		t.Errorf("got %q", r.Served.Unknown)
	}
	for _, row := range r.Served.Rows {
		x := pct(0)
		for _, p := range row.Parts {
			if p.X != x {
				t.Errorf("%s: part %+v does not begin where the one before ends, at %v", row.Policy, p, x)
			}
			x += p.Width
		}
		if len(row.Parts) > 0 && (x < 99.99 || x > 100.01) {
			t.Errorf("%s: the parts fill %v", row.Policy, x)
		}
	}
}

func TestBlindnessIsNoZero(t *testing.T) {
	r := New(blind(t))
	if r.Served.Total.Share != "–" || !strings.Contains(r.Served.Total.Note, "none is known to be hot") {
		t.Errorf("served: got %+v", r.Served.Total)
	}
	if r.Latency.Faster.Known || r.Latency.Missing == "" || len(r.Latency.First.Ticks) > 0 {
		t.Errorf("latency: got %+v", r.Latency)
	}
	if len(r.Alarms) != 2 || !strings.Contains(r.Alarms[0], promDown) {
		t.Errorf("alarms: got %q", r.Alarms)
	}
	if len(r.Holds.Rows) != 1 || r.Holds.Rows[0].Gate != "coverage" || r.Holds.Rows[0].Count != "2" {
		t.Errorf("holds: got %+v", r.Holds)
	}
}

func TestSourcesThatSayTheSameAreSaidOnce(t *testing.T) {
	in := town(t)
	in.Plans[1].Sources[0].ReadAt = in.Plans[0].Sources[0].ReadAt.Add(-time.Minute)
	in.Plans[1].Sources[1].OK, in.Plans[1].Sources[1].Message = false, "Mayastor is gone."
	var got []string
	for _, s := range sources(&in) {
		got = append(got, s.Name+", "+s.State+", "+s.Read+": "+s.Says)
	}
	want := []string{
		"Kubernetes, up, 1m42s ago: From the API server https://10.0.0.1:6443: 220 PersistentVolumes of Mayastor, 220 claims, 2 policies, 20 Jobs.",
		"Mayastor, up, 52s ago: For db: Mayastor answers. The server's API has the pool cordon, so it is Mayastor 2.10 or newer.",
		"Mayastor, down, 52s ago: For web: Mayastor is gone. The server's API has the pool cordon, so it is Mayastor 2.10 or newer.",
		"Prometheus, up, 1m47s ago: Prometheus answers.",
		"Latency around moves, up, : Prometheus answered for each of them.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Policies that share pools share their tiers' row, and its planned moves.
func TestATierOfTheSamePoolsIsOneRow(t *testing.T) {
	tier := func(name string, used, after int64, pools ...string) tiering.TierExplanation {
		e := tiering.TierExplanation{Tier: name, CapacityBytes: 100 * gib, UsedBytes: used * gib, AfterBytes: after * gib}
		for _, p := range pools {
			e.Pools = append(e.Pools, tiering.PoolExplanation{Pool: p, Online: true, CapacityBytes: 100 * gib, UsedBytes: used * gib, UsedPercent: float64(used), ReservedBytes: after * gib})
		}
		return e
	}
	got := fills([]tiering.Explanation{
		{Policy: "a", MaxPoolUsedPercent: 90, Tiers: []tiering.TierExplanation{tier("hot", 50, 60, "h1"), tier("cold", 40, 30, "c1", "c2")}},
		{Policy: "b", MaxPoolUsedPercent: 80, Tiers: []tiering.TierExplanation{tier("hot", 50, 45, "h1"), tier("cold", 20, 20, "c3"), tier("none", 10, 10, "x")}},
		{Policy: "faulty"},
	})
	want := []fillRow{
		{Tier: "hot", Label: "hot of a, b", Now: "50" + thin + "%", After: "55" + thin + "%", Size: "50 GiB of 100 GiB in 1 pool, 5 GiB to come", Stays: 50, Comes: 5, Limit: 80},
		{Tier: "cold", Label: "cold of a", Now: "40" + thin + "%", After: "30" + thin + "%", Size: "40 GiB of 100 GiB in 2 pools, 10 GiB to leave", Fullest: "fullest is c1 with 40" + thin + "%", Stays: 30, Leaves: 10, Limit: 90},
		{Tier: "cold", Label: "cold of b", Now: "20" + thin + "%", After: "20" + thin + "%", Size: "20 GiB of 100 GiB in 1 pool", Stays: 20, Limit: 80},
	}
	for i := range got.Rows {
		got.Rows[i].Size = strings.ReplaceAll(got.Rows[i].Size, thin, " ")
		got.Rows[i].Stays, got.Rows[i].Leaves, got.Rows[i].Comes = round(got.Rows[i].Stays), round(got.Rows[i].Leaves), round(got.Rows[i].Comes)
	}
	if diff := cmp.Diff(want, got.Rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if got.Limit != "" || len(got.Pools) != 5 || got.Pools[4].Tier != "on no tier of b" {
		t.Errorf("got limit %q and pools %+v", got.Limit, got.Pools)
	}
}

func round(p pct) pct { return pct(float64(int(float64(p)*100+0.5)) / 100) }

func TestHoldsAreCountedByTheirGate(t *testing.T) {
	r := New(city(t))
	sum, gates := 0, []string{}
	for _, row := range r.Holds.Rows {
		var n int
		for _, c := range row.Count {
			n = 10*n + int(c-'0')
		}
		sum += n
		gates = append(gates, row.Gate)
		if strings.HasPrefix(row.Reason, row.Gate+":") || row.Reason == "" {
			t.Errorf("gate %s: %q", row.Gate, row.Reason)
		}
	}
	if sum != r.Holds.Total || sum != 134 {
		t.Errorf("the rows count %d, the total is %d", sum, r.Holds.Total)
	}
	for _, gate := range []string{"coverage", "published", "healthy", "snapshots", "back-off", "cooldown", "route", "capacity", "fits", "caps"} {
		if !slices.Contains(gates, gate) {
			t.Errorf("gate %s is not there: %q", gate, gates)
		}
	}
	if !slices.ContainsFunc(r.Holds.Rows, func(h holdRow) bool { return h.Gate == "cooldown" && h.Opens != "" }) {
		t.Error("nobody knows when the cooldown is over")
	}
}

func TestLongTablesAreBounded(t *testing.T) {
	r := New(crowd(t))
	if len(r.Volumes.Rows) != mostVolumes || !slices.Contains(r.Volumes.More, "And 2500 volumes more; couchestor plan lists them.") {
		t.Errorf("got %d rows and %q", len(r.Volumes.Rows), r.Volumes.More)
	}
	r = New(city(t))
	if len(r.Last.First.Rows) != mostShown || len(r.Last.Rest.Rows) != 50-mostShown {
		t.Errorf("got %d and %d results", len(r.Last.First.Rows), len(r.Last.Rest.Rows))
	}
	if len(r.Latency.First.Rows)+len(r.Latency.Rest.Rows) != 40 {
		t.Errorf("got %d and %d moves", len(r.Latency.First.Rows), len(r.Latency.Rest.Rows))
	}
}

func TestFormats(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{group(0), "0"},
		{group(9999), "9999"},
		{group(12345), "12 345"},
		{group(-1234567), "−1 234 567"},
		{iops(0), "0"},
		{iops(3.14), "3.1"},
		{iops(99.94), "99.9"},
		{iops(99.96), "100"},
		{iops(12345.6), "12 346"},
		{span(0.4), "0.4 µs"},
		{span(999.4), "999 µs"},
		{span(999.6), "1 ms"},
		{span(1234), "1.23 ms"},
		{span(45_600), "45.6 ms"},
		{span(999_400), "999 ms"},
		{span(999_600), "1 s"},
		{part(0, 0), "–"},
		{part(0, 7), "0 %"},
		{part(1, 1000), "1 %"},
		{part(999, 1000), "99 %"},
		{part(5, 5), "100 %"},
		{change(0, 5), "–"},
		{change(100, 8), "−92 %"},
		{change(100, 100), "0 %"},
		{change(100, 160), "+60 %"},
		{change(100, 2060), "× 20.6"},
		{plural(1, "pool"), "1 pool"},
		{plural(12000, "pool"), "12 000 pools"},
		{pct(33.3333).String(), "33.33%"},
		{pct(100).String(), "100%"},
		{pct(0).String(), "0%"},
		{px(12).String(), "12"},
		{px(12.34).String(), "12.3"},
		{timeText(time.Time{}), ""},
	} {
		if got := strings.ReplaceAll(c.got, thin, " "); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

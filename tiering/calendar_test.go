package tiering

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones are the same on every machine

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// windowsOf reads windows, of which those that begin with ! deny.
func windowsOf(t prover, texts ...string) []Window {
	t.Helper()
	all := make([]Window, len(texts))
	for i, text := range texts {
		text, deny := strings.CutPrefix(text, "!")
		w, err := parseWindow(text)
		if err != nil {
			t.Fatalf("window %q %v", text, err)
		}
		w.Deny = deny
		all[i] = w
	}
	if unknown := ResolveZones(all, time.LoadLocation); len(unknown) > 0 {
		t.Fatalf("time zones %v are not known", unknown)
	}
	return all
}

// isOpen is what windows mean, minute by minute: what a clock on the wall shows.
func isOpen(at time.Time, sets ...[]Window) bool {
	for _, set := range sets {
		allowed, restricted := false, false
		for i := range set {
			w := &set[i]
			wall := at.In(w.zone)
			minutes := wall.Hour()*60 + wall.Minute()
			on := func(d time.Weekday) bool { return w.Days == [7]bool{} || w.Days[d] }
			var in bool
			if w.End > w.Start {
				in = on(wall.Weekday()) && w.Start <= minutes && minutes < w.End
			} else {
				in = on(wall.Weekday()) && w.Start <= minutes || on((wall.Weekday()+6)%7) && minutes < w.End
			}
			switch {
			case w.Deny && in:
				return false
			case !w.Deny:
				restricted = true
				allowed = allowed || in
			}
		}
		if restricted && !allowed {
			return false
		}
	}
	return true
}

// The days around each change of clocks that the zones had or will have.
func changes() map[string][]time.Time {
	at := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }
	return map[string][]time.Time{
		"Europe/Berlin":       {at(2026, 3, 28), at(2026, 10, 24)},
		"America/New_York":    {at(2026, 3, 7), at(2026, 10, 31)},
		"Australia/Lord_Howe": {at(2026, 4, 4), at(2026, 10, 3)},   // by half an hour
		"Asia/Kolkata":        {at(2026, 6, 1)},                    // never, and half an hour off
		"Africa/Cairo":        {at(2026, 4, 23), at(2026, 10, 29)}, // at midnight
		"Pacific/Apia":        {at(2011, 12, 29)},                  // a whole day was left out
	}
}

// The arithmetic agrees with the meaning in each minute of the days around each
// change of clocks, for windows of any days and times.
func TestOpeningsAreWhatClocksOnTheWallShow(t *testing.T) {
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range changes() {
			if !yield(name) {
				return
			}
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		zone := rapid.SampledFrom(names).Draw(rt, "zone")
		around := rapid.SampledFrom(changes()[zone]).Draw(rt, "around")
		window := func(label string) string {
			clock := func(which string) int { return rapid.IntRange(0, 95).Draw(rt, label+which) * 15 }
			start, end := clock("start"), clock("end")
			if start == end {
				end = (end + 15) % minutesOfDay
			}
			days := rapid.SampledFrom([]string{"daily", "Sat", "Sun", "Mon-Fri", "Fri,Sun", "Sat-Mon", "Thu"}).Draw(rt, label+"days")
			deny := ""
			if rapid.Bool().Draw(rt, label+"deny") {
				deny = "!"
			}
			in := zone
			if rapid.IntRange(0, 3).Draw(rt, label+"elsewhere") == 0 {
				in = "Europe/Berlin"
			}
			return fmt.Sprintf("%s%s %s-%s %s", deny, days, clockText(start), clockText(end), in)
		}
		var sets [2][]Window
		for i := range sets {
			var texts []string
			for k := range rapid.IntRange(0, 3).Draw(rt, "windows") {
				texts = append(texts, window(fmt.Sprint(i, k)))
			}
			sets[i] = windowsOf(rt, texts...)
		}
		now := around.Add(time.Duration(rapid.IntRange(0, 120).Draw(rt, "minutes")) * time.Minute)
		got := openings(now, sets[:]...)
		for i, o := range got {
			if !o.from.Before(o.to) || i > 0 && !got[i-1].to.Before(o.from) {
				rt.Fatalf("openings %v are empty, overlap or touch", got)
			}
		}
		k := 0
		for at := now; at.Before(now.Add(3 * day)); at = at.Add(time.Minute) {
			for k < len(got) && !got[k].to.After(at) {
				k++
			}
			in := k < len(got) && !got[k].from.After(at)
			if want := isOpen(at, sets[:]...); in != want {
				rt.Fatalf("at %s (%s): open is %v, want %v; windows %v", at.Format(time.RFC3339), at.In(mustZone(rt, zone)), in, want, sets)
			}
		}
	})
}

func mustZone(t prover, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// The days of change themselves, written out.
func TestWindowsOnDaysThatClocksChange(t *testing.T) {
	tests := []struct {
		name, window string
		from         string
		want         []string
	}{
		{
			"what spring skips is in no window", "daily 02:00-03:00 Europe/Berlin", "2026-03-28T00:00:00Z",
			[]string{"2026-03-28T01:00:00Z 2026-03-28T02:00:00Z", "2026-03-30T00:00:00Z 2026-03-30T01:00:00Z"},
		},
		{
			"a window over it is an hour shorter", "Sat 22:00-06:00 Europe/Berlin", "2026-03-28T00:00:00Z",
			[]string{"2026-03-28T21:00:00Z 2026-03-29T04:00:00Z"},
		},
		{
			"what autumn shows twice is in it twice", "daily 02:00-03:00 Europe/Berlin", "2026-10-25T00:00:00Z",
			[]string{"2026-10-25T00:00:00Z 2026-10-25T02:00:00Z", "2026-10-26T01:00:00Z 2026-10-26T02:00:00Z"},
		},
		{
			"a part of it shown twice is in two parts", "Sun 01:00-02:30 Europe/Berlin", "2026-10-25T00:00:00Z",
			[]string{"2026-10-25T00:00:00Z 2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z 2026-10-25T01:30:00Z"},
		},
		{
			"half an hour is skipped on Lord Howe", "Sun 01:45-02:45 Australia/Lord_Howe", "2026-10-03T00:00:00Z",
			[]string{"2026-10-03T15:15:00Z 2026-10-03T15:45:00Z"},
		},
		{
			"half an hour is shown twice on Lord Howe", "Sun 01:30-02:00 Australia/Lord_Howe", "2026-04-04T00:00:00Z",
			[]string{"2026-04-04T14:30:00Z 2026-04-04T15:30:00Z"},
		},
		{
			"New York", "Sun 01:00-04:00 America/New_York", "2026-03-08T00:00:00Z",
			[]string{"2026-03-08T06:00:00Z 2026-03-08T08:00:00Z"},
		},
		{
			"Kolkata knows no change", "Sun 00:00-24:00 Asia/Kolkata", "2026-03-28T00:00:00Z",
			[]string{"2026-03-28T18:30:00Z 2026-03-29T18:30:00Z"},
		},
		{
			"a day that was left out", "daily 00:00-24:00 Pacific/Apia", "2011-12-29T12:00:00Z",
			[]string{"2011-12-29T12:00:00Z 2012-01-13T12:00:00Z"},
		},
		{
			"a Friday that was left out", "Fri 10:00-11:00 Pacific/Apia", "2011-12-29T12:00:00Z",
			[]string{"2012-01-05T20:00:00Z 2012-01-05T21:00:00Z"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			from, err := time.Parse(time.RFC3339, test.from)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range openings(from, windowsOf(t, test.window)) {
				if len(got) < len(test.want) {
					got = append(got, o.from.Format(time.RFC3339)+" "+o.to.Format(time.RFC3339))
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// noon is a Monday. A volume of 10 GiB at 100 MiB/s takes 102.4 s a replica.
func TestAMoveStartsOnlyIfItEndsBeforeTheWindow(t *testing.T) {
	clock := func(h, m, s int) time.Time { return time.Date(2026, 11, 23, h, m, s, 0, time.UTC) }
	window := func(action WindowAction, days []Weekday, start, end string) specEdit {
		return func(s *StoragePolicySpec) {
			s.MaintenanceWindows = append(s.MaintenanceWindows, MaintenanceWindow{Action: &action, Days: days, Start: start, End: end})
		}
	}
	allow := func(start, end string) specEdit { return window(AllowWindow, nil, start, end) }
	deny := func(start, end string) specEdit { return window(DenyWindow, nil, start, end) }
	two := vol(on("cold-1", "cold-2"))
	tests := []struct {
		name    string
		now     time.Time
		volume  []volumeEdit
		spec    []specEdit
		cluster []string
		act     Act
		opens   time.Time
		says    string
	}{
		{name: "inside", now: clock(12, 0, 0), spec: []specEdit{allow("11:00", "13:00")}, act: Move},
		{name: "a second before it opens", now: clock(10, 59, 59), spec: []specEdit{allow("11:00", "13:00")}, opens: clock(11, 0, 0), says: "no maintenance window is open; a move needs a window in which it fits; opens at 2026-11-23T11:00:00Z"},
		{name: "when it opens", now: clock(11, 0, 0), spec: []specEdit{allow("11:00", "13:00")}, act: Move},
		{name: "with just enough time", now: clock(12, 58, 17), spec: []specEdit{allow("11:00", "13:00")}, act: Move},
		{name: "a second later", now: clock(12, 58, 18), spec: []specEdit{allow("11:00", "13:00")}, opens: clock(11, 0, 0).Add(day), says: "it would not end before the maintenance window closes at 2026-11-23T13:00:00Z"},
		{name: "two replicas take twice the time", now: clock(12, 56, 35), volume: two, spec: []specEdit{allow("11:00", "13:00")}, act: Move},
		{name: "a second later with two", now: clock(12, 56, 36), volume: two, spec: []specEdit{allow("11:00", "13:00")}, opens: clock(11, 0, 0).Add(day), says: "would not end"},
		{name: "a replica that stays takes none", now: clock(12, 58, 17), volume: vol(on("cold-1", "hot-1")), spec: []specEdit{allow("11:00", "13:00")}, act: Move},
		{name: "after it closed", now: clock(13, 0, 0), spec: []specEdit{allow("11:00", "13:00")}, opens: clock(11, 0, 0).Add(day), says: "no maintenance window is open"},
		{name: "over midnight", now: clock(23, 59, 0), spec: []specEdit{allow("22:00", "06:00")}, act: Move},
		{name: "after midnight", now: clock(5, 0, 0), spec: []specEdit{allow("22:00", "06:00")}, act: Move},
		{name: "deny alone", now: clock(12, 0, 0), spec: []specEdit{deny("11:00", "13:00")}, opens: clock(13, 0, 0), says: "no maintenance window is open"},
		{name: "deny wins", now: clock(12, 0, 0), spec: []specEdit{allow("10:00", "16:00"), deny("11:00", "13:00")}, opens: clock(13, 0, 0), says: "no maintenance window is open"},
		{name: "it has to end before a deny begins", now: clock(10, 58, 18), spec: []specEdit{deny("11:00", "13:00")}, opens: clock(13, 0, 0), says: "closes at 2026-11-23T11:00:00Z"},
		{name: "windows that touch are one", now: clock(11, 59, 0), spec: []specEdit{allow("11:00", "12:00"), allow("12:00", "13:00")}, act: Move},
		{name: "the cluster's window holds, too", now: clock(12, 0, 0), spec: []specEdit{allow("11:00", "13:00")}, cluster: []string{"maintenanceWindow.allow.night", "daily 22:00-06:00"}, says: "none of the next 15d is long enough"},
		{name: "where both are open", now: clock(12, 0, 0), spec: []specEdit{allow("11:00", "23:00")}, cluster: []string{"maintenanceWindow.allow.night", "daily 22:00-06:00"}, opens: clock(22, 0, 0), says: "no maintenance window is open"},
		{name: "the cluster's deny holds", now: clock(12, 0, 0), cluster: []string{"maintenanceWindow.deny.noon", "Mon 11:00-12:30"}, opens: clock(12, 30, 0), says: "no maintenance window is open"},
		{name: "the cluster's deny of another day does not", now: clock(12, 0, 0), cluster: []string{"maintenanceWindow.deny.noon", "Tue 11:00-12:30"}, act: Move},
		{name: "a window of another day", now: clock(12, 0, 0), spec: []specEdit{window(AllowWindow, []Weekday{"Sat"}, "11:00", "13:00")}, opens: clock(11, 0, 0).Add(5 * day), says: "no maintenance window is open"},
		{name: "a window that is always too short", now: clock(12, 0, 0), spec: []specEdit{allow("12:00", "12:01")}, says: "would not end before the maintenance window closes at 2026-11-23T12:01:00Z, and none"},
		{name: "a volume without a wish is where it belongs", now: clock(14, 0, 0), volume: vol(on("hot-1")), spec: []specEdit{allow("11:00", "13:00")}, act: Stay},
		{name: "a dry run waits for it, too", now: clock(14, 0, 0), spec: []specEdit{allow("11:00", "13:00"), dryRun}, opens: clock(11, 0, 0).Add(day), says: "no maintenance window is open"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			resolve := func(in *Input) {
				in.Now = test.now
				in.Limits.Settle = 0
				if unknown := ResolveZones(in.Policy.Rules.Windows, time.LoadLocation); len(unknown) > 0 {
					t.Fatal(unknown)
				}
			}
			p, d := one(t, volume("v", test.volume...), with(test.spec...), governed(t, free(test.cluster...)), resolve)
			if d.Act != test.act || !d.Held.OpensAt.Equal(test.opens) {
				t.Errorf("got %s that opens at %v (%s), want %s at %v", d.Act, d.Held.OpensAt, d.Held.Sentence(), test.act, test.opens)
			}
			if test.act == Move {
				for _, late := range []time.Duration{0, time.Second} {
					_, then := one(t, volume("v", test.volume...), with(test.spec...), governed(t, free(test.cluster...)), resolve, func(in *Input) { in.Now = d.StartBy.Add(late) })
					if d.StartBy.Before(test.now) || (then.Act == Move) != (late == 0) {
						t.Errorf("it is to start by %v, and %s after that the decision is %s", d.StartBy, late, then.Act)
					}
				}
			}
			s := p.Status(StoragePolicyStatus{})
			if test.act == Hold && (d.Held.Gate != GateMode || len(s.Plan) != 1 || !strings.Contains(s.Plan[0].Reason, capital(test.says)) && !strings.Contains(s.Plan[0].Reason, test.says)) {
				t.Errorf("held by %q, plan %+v; want mode and %q", d.Held.Gate, s.Plan, test.says)
			}
			if test.act == Hold && s.Mode != "Active" && s.Mode != "DryRun" {
				t.Errorf("a closed window is a hold and no mode, but the mode is %s", s.Mode)
			}
			if wait := test.opens.Sub(test.now); !test.opens.IsZero() && wait < latest && p.NextLook(test.now) != wait {
				t.Errorf("next look in %s, want %s", p.NextLook(test.now), wait)
			}
		})
	}
}

func TestAWindowWhoseZoneIsNotKnownLetsNothingStart(t *testing.T) {
	for _, text := range []string{"daily 00:00-24:00", "!Sat 03:00-04:00"} {
		windows := windowsOf(t, text)
		windows[0].zone = nil
		if got := openings(noon(), windows); len(got) > 0 {
			t.Errorf("%s: got openings %v", text, got)
		}
	}
}

func TestWindowsOfASpec(t *testing.T) {
	w := func(edit func(*MaintenanceWindow)) specEdit {
		return func(s *StoragePolicySpec) {
			m := MaintenanceWindow{Start: "22:00", End: "06:00"}
			edit(&m)
			s.MaintenanceWindows = append(s.MaintenanceWindows, m)
		}
	}
	for name, test := range map[string]struct {
		edit specEdit
		says string
	}{
		"an action that is none":      {w(func(m *MaintenanceWindow) { m.Action = new(WindowAction("Permit")) }), `has the action "Permit"; write Allow or Deny`},
		"a day that is none":          {w(func(m *MaintenanceWindow) { m.Days = []Weekday{"Monday"} }), `has the day "Monday"`},
		"a day twice":                 {w(func(m *MaintenanceWindow) { m.Days = []Weekday{"Mon", "Mon"} }), "has the day Mon twice"},
		"no start":                    {w(func(m *MaintenanceWindow) { m.Start = "" }), `starts at "", which is no time of day`},
		"an end that is none":         {w(func(m *MaintenanceWindow) { m.End = "25:00" }), `ends at "25:00", which is no time of day`},
		"a window of nothing":         {w(func(m *MaintenanceWindow) { m.End = "22:00" }), "starts and ends at the same time"},
		"the zone of the machine":     {w(func(m *MaintenanceWindow) { m.TimeZone = new("Local") }), `has the time zone "Local"`},
		"no zone where one has to be": {w(func(m *MaintenanceWindow) { m.TimeZone = new("") }), `has the time zone ""`},
		"more windows than one can see": {func(s *StoragePolicySpec) {
			s.MaintenanceWindows = slices.Repeat([]MaintenanceWindow{{Start: "01:00", End: "02:00"}}, 33)
		}, "lists 33 windows"},
	} {
		t.Run(name, func(t *testing.T) {
			faults := Faults("gold", spec(test.edit))
			if len(faults) != 1 || !strings.Contains(faults[0].Error(), test.says) || !strings.HasPrefix(faults[0].Error(), "spec.maintenanceWindows") {
				t.Errorf("got %v, want %q", faults, test.says)
			}
		})
	}
	a := policy(t, "gold", w(func(m *MaintenanceWindow) { m.Days = []Weekday{"Sat", "Sun"} }), w(func(m *MaintenanceWindow) { m.Action = new(DenyWindow) }))
	b := policy(t, "gold", w(func(m *MaintenanceWindow) { m.Action = new(DenyWindow) }), w(func(m *MaintenanceWindow) { m.Days, m.TimeZone = []Weekday{"Sun", "Sat"}, new("UTC") }))
	if a.Rules.Digest() != b.Rules.Digest() {
		t.Error("the order of windows and days changes the digest")
	}
	whole := policy(t, "gold", w(func(m *MaintenanceWindow) { m.Days = []Weekday{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"} }))
	if daily := policy(t, "gold", w(func(*MaintenanceWindow) {})); whole.Rules.Digest() != daily.Rules.Digest() {
		t.Error("each day is not the same as all days")
	}
}

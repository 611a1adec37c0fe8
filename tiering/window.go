package tiering

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// WindowAction says what a maintenance window does.
//
// +kubebuilder:validation:Enum=Allow;Deny
type WindowAction string

// The actions of a window.
const (
	AllowWindow WindowAction = "Allow"
	DenyWindow  WindowAction = "Deny"
)

// Window is a part of the week in which moves may start (allow), or may not
// (deny). It is open whenever a clock on the wall of its time zone says so: what
// a clock shows twice in autumn is in it twice, and what it skips in spring is
// not in it at all.
type Window struct {
	// Name says which one it is in sentences.
	Name string
	Deny bool
	// Days on which the window begins, by time.Weekday; none means each day.
	Days [7]bool
	// Start and End are minutes from 00:00 on the wall clock, Start from 0 to
	// 1439 and End from 1 to 1440. An End that is not after Start is on the next
	// day.
	Start, End int
	// TimeZone is the IANA name, such as Europe/Berlin.
	TimeZone string

	// zone is nil until it was looked up; as long as it is, nothing starts.
	zone *time.Location
}

// Action returns Allow or Deny.
func (w *Window) Action() WindowAction {
	if w.Deny {
		return DenyWindow
	}
	return AllowWindow
}

// days are the names of the days, in the order of time.Weekday.
func days() []string { return []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"} }

const (
	minutesOfDay = 24 * 60
	everyDay     = "daily"
)

// parseWindow reads a window in one line: the days, from when to when, and the
// time zone, which is UTC if it is left out. The error is the rest of a sentence
// that begins with the key.
func parseWindow(text string) (Window, error) {
	var w Window
	fields := strings.Fields(text)
	if len(fields) < 2 || len(fields) > 3 {
		return w, fmt.Errorf("is %s; write days, times and a time zone, such as Mon-Fri 22:00-06:00 Europe/Berlin", quoted(text))
	}
	if err := w.parseDays(fields[0]); err != nil {
		return w, err
	}
	start, end, ok := strings.Cut(fields[1], "-")
	if !ok {
		return w, fmt.Errorf("has the times %s; write from when to when, such as 22:00-06:00", quoted(fields[1]))
	}
	if err := w.parseTimes(start, end); err != nil {
		return w, err
	}
	w.TimeZone = "UTC"
	if len(fields) == 3 {
		w.TimeZone = fields[2]
	}
	return w, checkZone(w.TimeZone)
}

// window compiles the window of a spec; the error is the rest of a sentence that
// begins with the field.
func (m *MaintenanceWindow) window() (Window, error) {
	var w Window
	switch or(m.Action, AllowWindow) {
	case AllowWindow:
	case DenyWindow:
		w.Deny = true
	default:
		return w, fmt.Errorf("has the action %s; write %s or %s", quoted(string(*m.Action)), AllowWindow, DenyWindow)
	}
	for _, name := range m.Days {
		d := slices.Index(days(), string(name))
		switch {
		case d < 0:
			return w, fmt.Errorf("has the day %s; write one of Mon, Tue, Wed, Thu, Fri, Sat and Sun", quoted(string(name)))
		case w.Days[d]:
			return w, fmt.Errorf("has the day %s twice; write it once", name)
		}
		w.Days[d] = true
	}
	w.allDays()
	if err := w.parseTimes(m.Start, m.End); err != nil {
		return w, err
	}
	w.TimeZone = or(m.TimeZone, "UTC")
	return w, checkZone(w.TimeZone)
}

// allDays makes a list of all days none, which means the same.
func (w *Window) allDays() {
	if !slices.Contains(w.Days[:], false) {
		w.Days = [7]bool{}
	}
}

// byWindow orders windows by what they say, whatever their names.
func byWindow(a, b Window) int {
	return cmp.Or(cmp.Compare(a.Action(), b.Action()), cmp.Compare(a.String(), b.String()))
}

func (w *Window) parseDays(text string) error {
	if text == everyDay {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		a, b := slices.Index(days(), first), slices.Index(days(), last)
		if a < 0 || b < 0 {
			return fmt.Errorf("has the days %s; write days such as Mon-Fri or Sat,Sun, or %s", quoted(text), everyDay)
		}
		for d := a; ; d = (d + 1) % 7 {
			w.Days[d] = true
			if d == b {
				break
			}
		}
	}
	w.allDays()
	return nil
}

func (w *Window) parseTimes(start, end string) (err error) {
	if w.Start, err = parseClock(start); err != nil {
		return fmt.Errorf("starts at %w", err)
	}
	if w.End, err = parseClock(end); err != nil {
		return fmt.Errorf("ends at %w", err)
	}
	switch w.Start {
	case minutesOfDay:
		return errors.New("starts at 24:00; write 00:00 of the next day")
	case w.End:
		return errors.New("starts and ends at the same time; write 00:00 and 24:00 for a whole day")
	}
	if w.End == 0 {
		w.End = minutesOfDay
	}
	return nil
}

// parseClock reads hh:mm, from 00:00 to 24:00, as minutes.
func parseClock(text string) (int, error) {
	bad := fmt.Errorf("%s, which is no time of day; write one such as 22:00, from 00:00 to 24:00", quoted(text))
	if len(text) != 5 || text[2] != ':' {
		return 0, bad
	}
	for _, i := range []int{0, 1, 3, 4} {
		if text[i] < '0' || text[i] > '9' {
			return 0, bad
		}
	}
	h, m := int(text[0]-'0')*10+int(text[1]-'0'), int(text[3]-'0')*10+int(text[4]-'0')
	if m > 59 || h*60+m > minutesOfDay {
		return 0, bad
	}
	return h*60 + m, nil
}

// checkZone refuses what cannot be the name of a time zone. Whether it is one
// is for [ResolveZones] to say.
func checkZone(name string) error {
	// Local would be whatever the machine of the service is set to.
	if name == "" || name == "Local" || len(name) > 64 || strings.ContainsFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/_+-", r))
	}) {
		return fmt.Errorf("has the time zone %s; write the name of one, such as Europe/Berlin or UTC", quoted(name))
	}
	return nil
}

// ResolveZones looks the time zones of windows up, in place, and returns those
// that are not known, each once. A window whose zone is not known lets nothing
// start.
func ResolveZones(windows []Window, load func(name string) (*time.Location, error)) (unknown []string) {
	for i := range windows {
		w := &windows[i]
		zone, err := load(w.TimeZone)
		if err == nil && zone != nil {
			w.zone = zone
		} else if !slices.Contains(unknown, w.TimeZone) {
			unknown = append(unknown, w.TimeZone)
		}
	}
	return unknown
}

// String writes the window in one line, as [ParseGovernance] reads it.
func (w *Window) String() string {
	which := everyDay
	if w.Days != ([7]bool{}) {
		var names []string
		for i := range 7 {
			if d := (i + 1) % 7; w.Days[d] { // from Monday
				names = append(names, days()[d])
			}
		}
		which = strings.Join(names, ",")
	}
	return fmt.Sprintf("%s %s-%s %s", which, clockText(w.Start), clockText(w.End), w.TimeZone)
}

func clockText(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

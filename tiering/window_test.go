package tiering

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWindowsAreWrittenAsTheyAreRead(t *testing.T) {
	tests := []struct{ in, want string }{
		{"Mon-Fri 22:00-06:00 Europe/Berlin", "Mon,Tue,Wed,Thu,Fri 22:00-06:00 Europe/Berlin"},
		{"Sat,Sun 00:00-24:00", "Sat,Sun 00:00-24:00 UTC"},
		{"Fri-Mon 01:00-02:00 UTC", "Mon,Fri,Sat,Sun 01:00-02:00 UTC"},
		{"daily 08:00-00:00 Asia/Kolkata", "daily 08:00-24:00 Asia/Kolkata"},
		{"Sun 23:59-00:01 Etc/GMT+3", "Sun 23:59-00:01 Etc/GMT+3"},
	}
	for _, test := range tests {
		w, err := parseWindow(test.in)
		if got := w.String(); err != nil || got != test.want {
			t.Errorf("%q reads as %q, %v; want %q", test.in, got, err, test.want)
		}
	}
}

func TestZonesThatAreNotKnownAreNamedOnce(t *testing.T) {
	windows := []Window{{TimeZone: "Europe/Berlin"}, {TimeZone: "Europe/Nowhere"}, {TimeZone: "Europe/Nowhere"}}
	unknown := ResolveZones(windows, func(name string) (*time.Location, error) {
		if name == "Europe/Berlin" {
			return time.UTC, nil
		}
		return nil, errors.New("no such zone")
	})
	if diff := cmp.Diff([]string{"Europe/Nowhere"}, unknown); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if windows[0].zone == nil || windows[1].zone != nil {
		t.Errorf("got zones %v and %v, want the first only", windows[0].zone, windows[1].zone)
	}
}

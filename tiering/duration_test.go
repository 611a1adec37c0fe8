package tiering

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestDurationParse(t *testing.T) {
	tests := []struct {
		in   Duration
		want time.Duration
	}{
		{"30m", 30 * time.Minute},
		{"24h", 24 * time.Hour},
		{"7d", 7 * 24 * time.Hour},
		{"1h30m", 90 * time.Minute},
		{"1m1m", 2 * time.Minute},
		{"0d1s", time.Second},
		{"007s", 7 * time.Second},
		{"3650d", 3650 * 24 * time.Hour},
		{"3649d24h", 3650 * 24 * time.Hour},
	}
	for _, test := range tests {
		t.Run(string(test.in), func(t *testing.T) {
			got, err := test.in.Parse()
			if err != nil || got != test.want {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestDurationParseRefuses(t *testing.T) {
	tests := []struct {
		name string
		in   Duration
		says string
	}{
		{"nothing", "", "empty"},
		{"zero", "0s", "longer than zero"},
		{"zero in several units", "0d0h0m", "longer than zero"},
		{"an unknown unit", "5w", "units are d, h, m and s"},
		{"milliseconds", "500ms", "not whole numbers"},
		{"a unit in capitals", "5H", "units are d, h, m and s"},
		{"a number without a unit", "5", "without a unit"},
		{"a trailing number", "5m5", "without a unit"},
		{"a unit without a number", "m", "not whole numbers"},
		{"a fraction", "1.5h", "units are d, h, m and s"},
		{"a sign", "-5m", "not whole numbers"},
		{"a space", "5 m", "units are d, h, m and s"},
		{"a day too many", "3651d", "longest duration is 3650d"},
		{"a second too many", "3650d1s", "longest duration is 3650d"},
		{"what overflows a number", "99999999999999999999d", "longest duration is 3650d"},
		{"what overflows a sum", "3650d3650d", "longest duration is 3650d"},
		{"what overflows with days", "106752d", "longest duration is 3650d"},
		{"33 characters", Duration(strings.Repeat("0", 31) + "1s"), "more than 32 characters"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := test.in.Parse()
			if err == nil {
				t.Fatalf("got %v, want an error", got)
			}
			if !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %q, want it to say %q", err, test.says)
			}
		})
	}
}

func FuzzDurationParse(f *testing.F) {
	for _, s := range []string{"30m", "1h30m", "0s", "", "7d", "99999999999999999999d", "5w", "-1s", "1d1", "\xff"} {
		f.Add(s)
	}
	pattern := regexp.MustCompile(`^([0-9]+(d|h|m|s))+$`)
	f.Fuzz(func(t *testing.T, s string) {
		got, err := Duration(s).Parse()
		if err != nil {
			if got != 0 {
				t.Errorf("got %v with the error %v", got, err)
			}
			return
		}
		if !pattern.MatchString(s) {
			t.Errorf("%q parses and does not match the pattern of the schema", s)
		}
		if got <= 0 || got > 3650*24*time.Hour {
			t.Errorf("%q parses as %v", s, got)
		}
		again, err := Duration(formatSpan(got)).Parse()
		if err != nil || again != got {
			t.Errorf("%q is %v, written %q, read as %v, %v", s, got, formatSpan(got), again, err)
		}
	})
}

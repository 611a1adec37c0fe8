package main

import (
	"bytes"
	"net"
	"os"
	"strings"
	"testing"
)

func TestExitStatusTellsHowACommandWasAskedFromHowItWent(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name string
		args []string
		want int
	}{
		{"no command prints the help", nil, 0},
		{"a command that did it", []string{"version"}, 0},
		{"a command that does not exist", []string{"sevre"}, 2},
		{"a flag that does not exist", []string{"serve", "--nonsense"}, 2},
		{"a flag that cannot be read", []string{"serve", "--cache-ttl", "often"}, 2},
		{"a flag of a sensible form with a senseless value", []string{"serve", "--cache-ttl", "0s"}, 2},
		{"an argument too many", []string{"version", "now"}, 2},
		{"a plan of nothing", []string{"plan", "--kubeconfig", os.DevNull}, 2},
		{"an explanation of nothing", []string{"explain"}, 2},
		{"a report of nothing", []string{"report", "--kubeconfig", os.DevNull}, 2},
		{"an address in use", []string{"serve", "--listen-address", taken.Addr().String()}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out, talk bytes.Buffer
			got := run(t.Context(), c.args, strings.NewReader(""), &out, &talk)
			if got != c.want {
				t.Errorf("got exit status %d, want %d; it said\n%s", got, c.want, &talk)
			}
			if (got == 0) != (talk.Len() == 0) {
				t.Errorf("exit status %d with this on stderr:\n%s", got, &talk)
			}
			if got == 2 && !strings.Contains(talk.String(), "--help says more.") {
				t.Errorf("asked wrongly, and not told where to read on:\n%s", &talk)
			}
		})
	}
}

func TestSizes(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64
		back string
	}{
		{"0", 0, "0B"},
		{"4096", 4096, "4KiB"},
		{"1000B", 1000, "1000B"},
		{"128MiB", 128 << 20, "128MiB"},
		{"1.5GiB", 3 << 29, "1536MiB"},
		{"2GB", 2e9, "1953125KiB"},
		{"7 TiB", 7 << 40, "7TiB"},
	} {
		t.Run(c.text, func(t *testing.T) {
			var s size
			if err := s.Set(c.text); err != nil || int64(s) != c.want || s.String() != c.back {
				t.Errorf("got %d, %s, %v, want %d, %s", int64(s), &s, err, c.want, c.back)
			}
			var r rate
			if err := r.Set(c.text + "/s"); err != nil || int64(r) != c.want || r.String() != c.back+"/s" {
				t.Errorf("as a rate got %d, %s, %v", int64(r), &r, err)
			}
		})
	}
	for _, text := range []string{"", "MiB", "-1", "-1MiB", "NaN", "Inf", "1e30", "9223372036854775808", "1 M", "12 apples", "1MiB/s/s"} {
		t.Run("no size: "+text, func(t *testing.T) {
			s := size(7)
			if err := s.Set(text); err == nil || s != 7 {
				t.Errorf("got %d, %v, want it refused and the value left alone", int64(s), err)
			}
			r := rate(7)
			if err := r.Set(text); err == nil || r != 7 {
				t.Errorf("as a rate got %d, %v", int64(r), err)
			}
		})
	}
}

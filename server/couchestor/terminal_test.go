package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatIsWaitedForIsNamedAfterASecond(t *testing.T) {
	for _, c := range []struct {
		name string
		line bool
		took time.Duration
		want string
	}{
		{"what answers at once is not talked about", true, 900 * time.Millisecond, ""},
		{"nor is it off a terminal", false, 900 * time.Millisecond, ""},
		{
			"a terminal has one line that is gone afterwards", true, 2500 * time.Millisecond,
			"\r\x1b[Kwaiting for Mayastor, 1s\r\x1b[Kwaiting for Mayastor, 2s\r\x1b[K",
		},
		{"off a terminal it is said once", false, 5500 * time.Millisecond, "waiting for Mayastor ...\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b bytes.Buffer
				p := &waiter{w: &b, line: c.line}
				done := p.on("Mayastor")
				time.Sleep(c.took)
				done()
				if got := b.String(); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}

func TestTextFollowsTheTerminal(t *testing.T) {
	var b bytes.Buffer
	t.Setenv("COLUMNS", "")
	if s := styleOf(&b); s.Color || s.Width != 0 {
		t.Errorf("off a terminal got %+v, want it plain and of any width", s)
	}
	t.Setenv("COLUMNS", "90")
	if s := styleOf(&b); s.Color || s.Width != 90 {
		t.Errorf("with COLUMNS got %+v", s)
	}
	t.Setenv("COLUMNS", "wide")
	if s := styleOf(&b); s.Width != 0 {
		t.Errorf("with COLUMNS that is no number got %+v", s)
	}
}

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/billyronks/couchestor/mayastor"
)

// progress shows how the rebuild goes: a bar on a terminal, else a line every
// ten percent.
type progress struct {
	w     io.Writer
	width int // 0 when not a terminal
	last  string
	drawn bool
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.width = 80
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			p.width = width
		}
	}
	return p
}

func (p *progress) show(x mayastor.Progress) {
	head := fmt.Sprintf("replica %d of %d, %s to %s", x.Replica, max(x.Replicas, x.Replica), x.FromPool, x.ToPool)
	tail := ""
	switch {
	case x.Waiting != "":
		tail = ", " + x.Waiting
	case x.BytesPerSecond > 0:
		tail = fmt.Sprintf(", %s/s, %s left", bytesText(x.BytesPerSecond), x.Left.Round(time.Second))
	}
	if p.width == 0 {
		line := fmt.Sprintf("%s: %d%%%s", head, x.Percent, tail)
		if key := fmt.Sprint(head, x.Percent/10, x.Waiting); key != p.last {
			p.last = key
			fmt.Fprintln(p.w, line)
		}
		return
	}
	room := p.width - len(head) - len(tail) - len(" [] 100%") - 1
	bar := ""
	if room >= 10 {
		room = min(room, 40)
		full := room * x.Percent / 100
		bar = " [" + strings.Repeat("#", full) + strings.Repeat("-", room-full) + "]"
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s%s %d%%%s", head, bar, x.Percent, tail)
	p.drawn = true
}

// end leaves the last bar on the terminal.
func (p *progress) end() {
	if p.drawn {
		fmt.Fprintln(p.w)
	}
}

// bytesText prints a size as people read it.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	x, i := float64(n), 0
	for x >= 1024 && i < len(units)-1 {
		x, i = x/1024, i+1
	}
	if x >= 100 || i == 0 {
		return fmt.Sprintf("%.0f %s", x, units[i])
	}
	return fmt.Sprintf("%.1f %s", x, units[i])
}

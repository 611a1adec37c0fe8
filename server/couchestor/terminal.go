package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/billyronks/couchestor/server/explain"
)

// styleOf is how text on w looks: colored on a terminal that has colors, and as
// wide as it. $COLUMNS, if it is set, is the width in any case; NO_COLOR takes the
// colors away.
func styleOf(w io.Writer) explain.Style {
	var s explain.Style
	if f, ok := terminal(w); ok {
		s.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			s.Width = width
		}
	}
	if width, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && width > 0 {
		s.Width = width
	}
	return s
}

// terminal reports whether w is one.
func terminal(w io.Writer) (*os.File, bool) {
	f, ok := w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// patience is how long something may take before it is said what is waited for.
const patience = time.Second

// waiter says on w what is waited for: on a terminal in one line that tells the
// time and is gone afterwards, else once.
type waiter struct {
	w    io.Writer
	line bool
}

func newWaiter(w io.Writer) *waiter {
	_, line := terminal(w)
	return &waiter{w: w, line: line}
}

// on is called when something begins to be waited for, and what it returns when
// that is over.
func (p *waiter) on(what string) (done func()) {
	over := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { p.wait(what, over) })
	return func() {
		close(over)
		wg.Wait()
	}
}

func (p *waiter) wait(what string, over <-chan struct{}) {
	began := time.Now()
	again := time.NewTicker(patience)
	defer again.Stop()
	for said := false; ; said = true {
		select {
		case <-over:
			if said && p.line {
				fmt.Fprint(p.w, "\r\x1b[K")
			}
			return
		case <-again.C:
		}
		switch {
		case p.line:
			fmt.Fprintf(p.w, "\r\x1b[Kwaiting for %s, %s", what, time.Since(began).Round(time.Second))
		case !said:
			fmt.Fprintf(p.w, "waiting for %s ...\n", what)
		}
	}
}

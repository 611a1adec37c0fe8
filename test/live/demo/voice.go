package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// width that nothing exceeds.
const width = 120

// voice writes to the audience.
type voice struct {
	w     io.Writer
	color bool
}

// newVoice uses color on a terminal, unless NO_COLOR is set.
func newVoice(w io.Writer) *voice {
	v := &voice{w: w}
	if f, ok := w.(*os.File); ok && os.Getenv("NO_COLOR") == "" {
		info, err := f.Stat()
		v.color = err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
	}
	return v
}

// Colors of the terminal, by meaning.
const (
	plain  = ""
	bold   = "1"
	faint  = "2"
	good   = "32"
	doing  = "36"
	warned = "33"
	bad    = "31"
)

func (v *voice) paint(color, text string) string {
	if !v.color || color == plain {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

func (v *voice) line(format string, args ...any) {
	fmt.Fprintf(v.w, format+"\n", args...)
}

// heading opens an act.
func (v *voice) heading(title string, words ...string) {
	v.line("")
	v.line("%s", v.paint(bold, title))
	for _, paragraph := range words {
		for _, line := range wrap(paragraph, width-2) {
			v.line("  %s", line)
		}
	}
	v.line("")
}

// cell is the text of a table's field, with a color.
type cell struct{ text, color string }

// columns are the widths of a table's fields; the last takes what is left of
// the line and is continued on further ones.
type columns []int

// row prints one row of a table.
func (v *voice) row(c columns, cells ...cell) {
	used := 0
	var line strings.Builder
	for i, w := range c {
		text := clip(cells[i].text, w)
		line.WriteString(v.paint(cells[i].color, text))
		line.WriteString(strings.Repeat(" ", w-utf8.RuneCountInString(text)+1))
		used += w + 1
	}
	last := cells[len(c)]
	rest := wrap(last.text, width-used)
	for i, part := range rest {
		if i == 0 {
			v.line("%s", line.String()+v.paint(last.color, part))
			continue
		}
		v.line("%s", strings.Repeat(" ", used)+v.paint(last.color, part))
	}
	if len(rest) == 0 {
		v.line("%s", strings.TrimRight(line.String(), " "))
	}
}

// clip shortens a text to so many runes.
func clip(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}

// wrap breaks a text into lines of at most n runes, between words where it can.
func wrap(text string, n int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		for utf8.RuneCountInString(word) > n {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			lines = append(lines, string([]rune(word)[:n]))
			word = string([]rune(word)[n:])
		}
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= n:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

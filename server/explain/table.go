package explain

import (
	"io"
	"strings"
	"unicode/utf8"
)

// cell is the text of a field, and its color.
type cell struct{ text, color string }

func text(s string) cell { return cell{text: s} }

// table is rows below a head. The last column takes what is left of a line, and
// goes on below.
type table struct {
	style Style
	head  []string
	// right are the columns of figures, which end at one edge.
	right map[int]bool
	rows  [][]cell
}

func (s Style) table(head ...string) *table {
	t := &table{style: s, right: map[int]bool{}}
	for _, h := range head {
		// A column of figures is marked so.
		name, figures := strings.CutPrefix(h, ">")
		t.right[len(t.head)] = figures
		t.head = append(t.head, name)
	}
	return t
}

func (t *table) row(cells ...cell) {
	for i := range cells {
		cells[i].text = printable(cells[i].text)
	}
	t.rows = append(t.rows, cells)
}

const gap = "  "

func (t *table) write(w io.Writer) {
	widths := make([]int, len(t.head))
	for i, h := range t.head {
		widths[i] = utf8.RuneCountInString(h)
		for _, r := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(r[i].text))
		}
	}
	last, used := len(t.head)-1, 0
	for _, n := range widths[:last] {
		used += n + len(gap)
	}
	head := make([]cell, len(t.head))
	for i, h := range t.head {
		head[i] = cell{h, bold}
	}
	for _, r := range append([][]cell{head}, t.rows...) {
		var b strings.Builder
		for i, c := range r[:last] {
			fill := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c.text))
			if t.right[i] {
				b.WriteString(fill)
			}
			b.WriteString(t.style.paint(c.color, c.text))
			if !t.right[i] {
				b.WriteString(fill)
			}
			b.WriteString(gap)
		}
		lines := []string{r[last].text}
		if t.style.Width > 0 {
			lines = wrap(r[last].text, t.style.Width-used)
		}
		for i, line := range lines {
			if i > 0 {
				b.WriteString("\n" + strings.Repeat(" ", used))
			}
			if t.right[last] {
				b.WriteString(strings.Repeat(" ", max(widths[last]-utf8.RuneCountInString(line), 0)))
			}
			b.WriteString(t.style.paint(r[last].color, line))
		}
		_, _ = io.WriteString(w, strings.TrimRight(b.String(), " ")+"\n")
	}
}

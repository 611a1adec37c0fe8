package explain

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Style is how text looks. The zero value is plain, and of any width.
type Style struct {
	// Width is the most runes of a line that can be broken; 0 breaks none.
	Width int
	// Color uses the terminal's colors.
	Color bool
	// Wide shows what else there is: the names of volumes and each pool.
	Wide bool
}

// Colors of a terminal, by meaning.
const (
	plain  = ""
	bold   = "1"
	faint  = "2"
	good   = "32"
	doing  = "36"
	warned = "33"
	bad    = "31"
)

func (s Style) paint(color, text string) string {
	if !s.Color || color == plain || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// paragraph is text in lines of at most the style's width, the further ones
// indented.
func (s Style) paragraph(indent int, text string) string {
	lines := wrap(text, s.Width-indent)
	if s.Width <= 0 {
		lines = []string{text}
	}
	return strings.Join(lines, "\n"+strings.Repeat(" ", indent))
}

// leastWrap is the narrowest column that is broken: below it words fall apart.
const leastWrap = 20

// wrap breaks a text into lines of at most n runes, between words where it can;
// it does not where n is too little.
func wrap(text string, n int) []string {
	if n < leastWrap || utf8.RuneCountInString(text) <= n {
		return []string{text}
	}
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		for utf8.RuneCountInString(word) > n {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			runes := []rune(word)
			lines, word = append(lines, string(runes[:n])), string(runes[n:])
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
	return append(lines, line)
}

// printable takes out of others' words what would steer a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// Bytes is a size as people read it, in binary units.
func Bytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	f, u := float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	if f == float64(int64(f)) || f >= 100 {
		return fmt.Sprintf("%.0f %s", f, units[u])
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}

// Span is a duration as people read it: to the second, and days as such.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	d = d.Round(time.Second)
	if d < 2*day {
		text := d.String()
		// 1h0m0s is 1h.
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		return text
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// number is a figure with at most one decimal.
func number(f float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") }

func percent(f float64) string { return number(f) + " %" }

// figure is a number that may not be known.
func figure(f *float64, format func(float64) string) string {
	if f == nil {
		return "-"
	}
	return format(*f)
}

// or is text, or a dash for none.
func or(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// count is n of something; what is its singular.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

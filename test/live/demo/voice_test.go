package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		name, text string
		n          int
		want       []string
	}{
		{"nothing is no line", "", 5, nil},
		{"a text that fits is one line", "one two", 7, []string{"one two"}},
		{"a text is broken between words", "one two", 6, []string{"one", "two"}},
		{"a word that is too long is broken", "ab defghij k", 5, []string{"ab", "defgh", "ij k"}},
		{"runes count, not bytes", "ää öö", 5, []string{"ää öö"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(wrap(c.text, c.n), c.want); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRow(t *testing.T) {
	var b bytes.Buffer
	v := newVoice(&b)
	long := strings.Repeat("a sentence that goes on and on ", 20)
	v.row(table(), cell{"  1.0s", bad}, cell{"pvc-00000001", bad}, cell{"a/claim-whose-name-is-rather-long", bad}, cell{"100000", bad},
		cell{"mixed", bad}, cell{"move next", bad}, cell{long, bad})
	lines := slices.Collect(strings.Lines(b.String()))
	t.Run("no line is wider than the page", func(t *testing.T) {
		for _, line := range lines {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > width {
				t.Errorf("%d runes: %s", n, line)
			}
		}
	})
	t.Run("the last field goes on in its own column", func(t *testing.T) {
		if len(lines) < 10 || !strings.HasPrefix(lines[1], strings.Repeat(" ", 60)) {
			t.Errorf("lines: %q", lines)
		}
	})
	t.Run("what is no terminal gets no color", func(t *testing.T) {
		if strings.Contains(b.String(), "\x1b") {
			t.Errorf("escapes in %q", b.String())
		}
	})
	t.Run("on a terminal color takes no width", func(t *testing.T) {
		var painted bytes.Buffer
		on := &voice{w: &painted, color: true}
		on.row(columns{6}, cell{"a", good}, cell{"b", plain})
		if got, want := painted.String(), "\x1b[32ma\x1b[0m      b\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestTierOf(t *testing.T) {
	for _, c := range []struct {
		pools []string
		want  string
	}{
		{[]string{"nvme-1", "nvme-5"}, "hot"},
		{[]string{"ssd-2"}, "warm"},
		{[]string{"sata-1", "nvme-2"}, "mixed"},
		{[]string{"tape-1"}, "none"},
		{nil, ""},
	} {
		if got := tierOf(c.pools); got != c.want {
			t.Errorf("%v: got %s, want %s", c.pools, got, c.want)
		}
	}
}

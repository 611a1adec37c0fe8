package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/billyronks/couchestor/test/golden"
)

var keep = flag.String("keep", "", "directory to write the pages of these tests to, for somebody to look at")

// inputs are the worlds that the pages of these tests show.
func inputs() map[string]func(*testing.T) Input {
	return map[string]func(*testing.T) Input{"town": town, "city": city, "empty": empty, "bare": bare, "blind": blind, "crowd": crowd}
}

func written(t *testing.T, in Input) string {
	t.Helper()
	var b bytes.Buffer
	if err := New(in).Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPages(t *testing.T) {
	for name, of := range inputs() {
		t.Run(name, func(t *testing.T) {
			got := written(t, of(t))
			if *keep != "" {
				if err := os.WriteFile(filepath.Join(*keep, name+".html"), []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			checkPage(t, got)
			if again := written(t, of(t)); again != got {
				t.Error("the same input gives other bytes")
			}
			if !slices.Contains([]string{"town", "empty", "blind"}, name) {
				return // Too much to read for a golden file.
			}
			// The style is in its own file.
			got = strings.Replace(got, styleText, "…\n", 1)
			golden.Check(t, "testdata/"+name+".html", got)
		})
	}
}

// elsewhere are the attributes that may fetch something.
var elsewhere = []string{"src", "href", "srcset", "data", "action", "formaction", "poster", "background", "xlink", "xmlns", "style", "ping"}

// checkPage sees to it that a page is well formed, stands alone, runs nothing and
// can be read aloud.
func checkPage(t *testing.T, page string) {
	t.Helper()
	if !strings.HasPrefix(page, "<!DOCTYPE html>\n") {
		t.Errorf("it begins with %.40q", page)
	}
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict = true
	ids, named := map[string]bool{}, []string{}
	var open []string
	titles := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("it is not well formed: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if e.Name.Local == "title" && slices.Contains(open, "svg") {
				titles++
			}
			open = append(open, e.Name.Local)
			labelled, hidden := false, false
			for _, a := range e.Attr {
				name, value := strings.ToLower(a.Name.Local), a.Value
				switch {
				case slices.Contains(elsewhere, name), strings.HasPrefix(name, "on"):
					t.Errorf("<%s> has %s=%q", e.Name.Local, a.Name.Local, value)
				case name == "id" && ids[value]:
					t.Errorf("id %q is there twice", value)
				case name == "id":
					ids[value] = true
				case name == "aria-labelledby":
					named = append(named, strings.Fields(value)...)
					labelled = true
				case name == "aria-hidden":
					hidden = true
				}
				if strings.Contains(value, "NaN") || strings.Contains(value, "Inf") || strings.Contains(value, "ZgotmplZ") {
					t.Errorf("<%s> has %s=%q", e.Name.Local, a.Name.Local, value)
				}
			}
			if e.Name.Local == "svg" && labelled == hidden {
				t.Error("an svg is neither named for those who hear the page nor left out for them")
			}
			if slices.Contains([]string{"script", "link", "img", "iframe", "object", "embed", "base", "form", "foreignObject", "use", "image"}, e.Name.Local) {
				t.Errorf("it has a <%s>", e.Name.Local)
			}
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
	for _, id := range named {
		if !ids[id] {
			t.Errorf("something is named by %q, which is not there", id)
		}
	}
	if regexp.MustCompile(`(?i)url\(|@import|expression\(|https?:`).MatchString(styleText) {
		t.Error("the style fetches something")
	}
	if bad := regexp.MustCompile(`NaN|%!|ZgotmplZ|<nil>|\+Inf`).FindString(page); bad != "" {
		t.Errorf("it says %q", bad)
	}
}

// Names and messages come from others.
func TestWordsOfOthersAreTextAndNothingElse(t *testing.T) {
	const evil = "<script>alert(1)</script>\"'&\x00\x1b[31m\u202e\ufffe</title></svg><!--\xff"
	in := town(t)
	for i := range in.Plans {
		e := &in.Plans[i]
		e.Policy, e.Mode, e.ModeReason = evil, evil, evil
		for k := range e.Sources {
			e.Sources[k].Message, e.Sources[k].Supports, e.Sources[k].Name = evil, evil, evil
		}
		for k := range e.Volumes {
			v := &e.Volumes[k]
			v.Claim, v.Reason, v.Gate = evil, evil, v.Gate+evil
		}
		for k := range e.Moves {
			m := &e.Moves[k]
			m.Claim, m.Reason, m.From, m.To, m.SourcePools = evil, evil, evil, evil, []string{evil}
		}
		for k := range e.History {
			h := &e.History[k]
			h.Claim, h.FromTier, h.FromPool, h.Error = evil, evil, evil, evil
		}
		for k := range e.Tiers {
			for n := range e.Tiers[k].Pools {
				e.Tiers[k].Pools[n].Pool, e.Tiers[k].Pools[n].Note = evil, evil
			}
		}
	}
	for i := range in.Effects {
		in.Effects[i].Claim, in.Effects[i].To, in.Effects[i].Before.Missing = evil, evil, evil
	}
	in.Version, in.Measured.Message = evil, evil
	page := written(t, in)
	checkPage(t, page)
	if !strings.Contains(page, "&lt;script&gt;alert(1)") {
		t.Error("the words of others are not on the page")
	}
	for _, r := range page {
		if r != '\n' && r < ' ' || r == '\u202e' {
			t.Fatalf("it holds %q", r)
		}
	}
}

package report

import (
	"bytes"
	_ "embed" // the page and its style
	"fmt"
	"html/template"
	"io"
	"strings"
	"sync"
	"unicode"
)

// The page, its parts and its style.
var (
	//go:embed page.html
	pageText string
	//go:embed parts.html
	partsText string
	//go:embed style.css
	styleText string
)

// page is parsed when the first report is written. Its text is XML, too, so that a
// strict parser tells where a tag is not closed.
var page = sync.OnceValue(func() *template.Template { //nolint:gochecknoglobals // a constant in all but name
	t := template.New("page").Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(styleText) }, //nolint:gosec // a file of this package, with nothing of others in it
	})
	template.Must(t.New("parts").Parse(partsText))
	return template.Must(t.Parse(pageText))
})

// Many reports whether there is more than one policy to tell apart.
func (r *Report) Many() bool { return len(r.Policies) > 1 }

// Write writes the report as one page of HTML.
func (r *Report) Write(w io.Writer) error {
	var b bytes.Buffer
	if err := page().Execute(&b, r); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	_, err := io.WriteString(w, printable(b.String()))
	return err
}

// printable takes out of the words of others what a page must not hold: control
// characters, and what would turn the direction of text that follows.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == 0xfffe, r == 0xffff:
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
}

package explain

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/billyronks/couchestor/tiering"
)

// Prefix is the path of the explanations.
const Prefix = "/explain"

// Index lists the policies that were decided on.
type Index struct {
	Policies []Entry `json:"policies"`
}

// Entry is one of them.
type Entry struct {
	Policy     string         `json:"policy"`
	Generation int64          `json:"generation"`
	DecidedAt  time.Time      `json:"decidedAt"`
	AgeSeconds float64        `json:"ageSeconds"`
	Phase      tiering.Phase  `json:"phase"`
	Mode       string         `json:"mode,omitempty"`
	Counts     tiering.Counts `json:"counts"`
}

// Mount adds the pages of the book under [Prefix]: all policies, one policy, and
// one volume by the name of its PersistentVolume, its uuid, or namespace and name
// of its claim. They are text, or JSON where the request accepts that by name.
func (b *Book) Mount(r chi.Router) {
	r.Get(Prefix, b.index)
	r.Get(Prefix+"/{policy}", b.policy)
	r.Get(Prefix+"/{policy}/{volume}", b.volume)
	r.Get(Prefix+"/{policy}/{namespace}/{claim}", b.volume)
}

// nothingYet is said before the first sync.
const nothingYet = "nothing was decided yet: Metacontroller has not asked since this service started. It asks once per policy within 5 minutes; if it does not, look at its log, and whether there is a StoragePolicy"

func (b *Book) index(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	x := Index{Policies: []Entry{}}
	for _, p := range b.pages() {
		e := Entry{Policy: p.policy, DecidedAt: p.at.UTC(), AgeSeconds: age(now, p.at)}
		if s := p.status; s != nil {
			e.Generation, e.Phase, e.Mode = s.ObservedGeneration, s.Phase, s.Mode
		}
		if p.plan != nil {
			e.Counts = p.plan.Counts()
		}
		x.Policies = append(x.Policies, e)
	}
	answer(w, r, x, func(w io.Writer) { WriteIndex(w, &x, Style{}) })
}

// WriteIndex writes the policies as a table.
func WriteIndex(w io.Writer, x *Index, s Style) {
	if len(x.Policies) == 0 {
		fmt.Fprintf(w, "%s\n", s.paragraph(0, sentence(nothingYet)))
		return
	}
	t := s.table("POLICY", "PHASE", "MODE", ">VOLUMES", ">TO MOVE", ">MOVING", ">HELD", ">UNKNOWN", ">STAY", "DECIDED")
	for _, p := range x.Policies {
		c := p.Counts
		n := func(i int) cell { return text(strconv.Itoa(i)) }
		t.row(text(p.Policy), text(or(string(p.Phase))), text(or(p.Mode)), n(c.Volumes), n(c.Moves), n(c.Moving+c.Recover), n(c.Held), n(c.Unknown), n(c.Stay),
			text(Span(seconds(p.AgeSeconds))+" ago"))
	}
	t.write(w)
}

func (b *Book) policy(w http.ResponseWriter, r *http.Request) {
	p := b.page(w, r)
	if p == nil {
		return
	}
	e := p.explain(time.Now())
	answer(w, r, e, func(w io.Writer) { Policy(w, &e, Style{Wide: true}) })
}

func (b *Book) volume(w http.ResponseWriter, r *http.Request) {
	p := b.page(w, r)
	if p == nil {
		return
	}
	if p.plan == nil {
		refuse(w, http.StatusNotFound, "policy %s has faults and decides on no volume; %s/%s says which", p.policy, Prefix, url.PathEscape(p.policy))
		return
	}
	name := param(r, "volume")
	if name == "" {
		name = param(r, "namespace") + "/" + param(r, "claim")
	}
	i, ok := p.plan.Lookup(name)
	if !ok {
		refuse(w, http.StatusNotFound, "%s", Unknown(p.policy, name, p.plan))
		return
	}
	e := p.plan.ExplainVolume(i, p.status)
	e.AgeSeconds = age(time.Now(), e.DecidedAt)
	answer(w, r, e, func(w io.Writer) { Volume(w, &e, Style{}) })
}

// Unknown says that the plan of a policy does not know a volume of this name,
// and which names are like it.
func Unknown(policy, name string, p *tiering.Plan) string {
	all := names(p)
	text := fmt.Sprintf("policy %s decides on no volume %s", policy, printable(name))
	if near := Near(name, all, 5); len(near) > 0 {
		return text + "; did you mean " + strings.Join(near, ", ") + "?"
	}
	if len(all) == 0 {
		return text + ", as it selects none; look at storageClassName, claimNamespaces and volumeSelector"
	}
	return fmt.Sprintf("%s; a volume is named by its PersistentVolume, its uuid, or namespace/name of its claim, such as %s", text, all[len(all)-1])
}

// page returns the page that a request asks for; nil if there is none and the
// request is answered.
func (b *Book) page(w http.ResponseWriter, r *http.Request) *page {
	name := param(r, "policy")
	p, all := b.find(name)
	switch {
	case p == nil && len(all) == 0:
		refuse(w, http.StatusNotFound, nothingYet)
		return nil
	case p == nil:
		refuse(w, http.StatusNotFound, "no policy %s was decided on; those that were: %s", printable(name), list(all, 20))
		return nil
	case p.leftOut > 0:
		refuse(w, http.StatusServiceUnavailable, "the plan of policy %s is not kept, as with its %d volumes this service would hold more than %d; couchestor plan and couchestor explain make it anew", p.policy, p.leftOut, maxVolumes)
		return nil
	}
	return p
}

// param is a part of the path as it was meant.
func param(r *http.Request, name string) string {
	raw := chi.URLParam(r, name)
	if text, err := url.PathUnescape(raw); err == nil {
		return text
	}
	return raw
}

// answer writes the value as JSON where the request accepts that, else as text.
func answer(w http.ResponseWriter, r *http.Request, value any, text func(io.Writer)) {
	var b bytes.Buffer
	kind := "text/plain; charset=utf-8"
	if acceptsJSON(r) {
		kind = "application/json"
		if err := JSON(&b, value); err != nil {
			refuse(w, http.StatusInternalServerError, "%s", err)
			return
		}
	} else {
		text(&b)
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Vary", "Accept")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = b.WriteTo(w) // the caller went away
}

// acceptsJSON reports whether the request names application/json among what it
// takes, and does not forbid it.
func acceptsJSON(r *http.Request) bool {
	for _, header := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(header, ",") {
			kind, params, err := mime.ParseMediaType(part)
			if err == nil && kind == "application/json" && params["q"] != "0" {
				return true
			}
		}
	}
	return false
}

func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	fmt.Fprintf(w, format+"\n", args...)
}

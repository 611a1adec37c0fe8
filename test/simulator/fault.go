package simulator

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Effect is what a fault does to a request.
type Effect string

// The effects. "Before" ones leave the world alone; "after" ones strike when the
// operation is done, or under way, and the client cannot know.
const (
	None           Effect = ""                // only Before, After and Delay
	FailBefore     Effect = "fail-before"     // answer Status and Kind, do nothing
	LoseReply      Effect = "lose-reply"      // do it, then answer Status and Kind
	DropBefore     Effect = "drop-before"     // close the connection, do nothing
	DropAfter      Effect = "drop-after"      // do it, then close the connection
	HangBefore     Effect = "hang-before"     // never answer, do nothing
	HangAfter      Effect = "hang-after"      // do it, never answer
	StaleRead      Effect = "stale-read"      // answer what this path answered before
	DuplicateEntry Effect = "duplicate-entry" // a list repeats its first entry
	OmitVolume     Effect = "omit-volume"     // a volume list lacks Volume (empty: its first entry)
	MalformedJSON  Effect = "malformed-json"  // cut the body in half
	EmptyNotFound  Effect = "empty-404"       // 404 with empty body, as if the route were missing
)

// Fault strikes requests that match it.
type Fault struct {
	Name   string // for Call.Fault; empty: the effect
	Method string // empty: any
	// Path is a pattern over the escaped path: * stands for one segment, a last
	// ** for any rest. Empty: any path.
	Path string
	// When narrows the match further. It runs under the simulator's lock and must
	// not call the simulator.
	When func(Request) bool
	// Nth is the match the fault begins at, from 1; 0 means the first.
	Nth int
	// Times is how many matches it strikes; 0 means one, negative without end.
	Times int

	Effect Effect
	Status int    // 0: the status of Kind
	Kind   string // empty: Internal
	Volume string
	// Delay passes before the effect, or for "after" effects before the answer.
	Delay time.Duration
	// Before and After, if set, run right before the operation and right after
	// it, outside the lock: they may act on the simulator.
	Before, After func()
}

// armedFault counts a fault's matches.
type armedFault struct {
	Fault
	matches, struck int
}

func (f *armedFault) label() string { return cmp.Or(f.Name, string(f.Effect), "hook") }

// Inject arms faults. Several may strike one request; the first with an effect
// before the operation decides.
func (s *Simulator) Inject(faults ...Fault) {
	s.locked(func() {
		for _, f := range faults {
			s.faults = append(s.faults, &armedFault{Fault: f})
		}
	})
}

// ClearFaults disarms all faults.
func (s *Simulator) ClearFaults() { s.locked(func() { s.faults = nil }) }

// Struck is how many times faults struck so far.
func (s *Simulator) Struck() (n int) {
	s.locked(func() { n = s.fired })
	return n
}

// match finds the faults that strike req and counts them.
func (s *Simulator) match(req *Request) []*armedFault {
	var hits []*armedFault
	for _, f := range s.faults {
		if f.Method != "" && f.Method != req.Method || f.Path != "" && !matchPath(f.Path, req.Path) || f.When != nil && !f.When(*req) {
			continue
		}
		f.matches++
		first, times := max(f.Nth, 1), f.Times
		if times == 0 {
			times = 1
		}
		if f.matches < first || times > 0 && f.matches >= first+times {
			continue
		}
		f.struck++
		s.fired++
		hits = append(hits, f)
	}
	return hits
}

// matchPath says whether path fits pattern; see [Fault.Path].
func matchPath(pattern, path string) bool {
	want, got := strings.Split(strings.Trim(pattern, "/"), "/"), strings.Split(strings.Trim(path, "/"), "/")
	for i, w := range want {
		if w == "**" && i == len(want)-1 {
			return true
		}
		if i >= len(got) || w != "*" && w != got[i] {
			return false
		}
	}
	return len(want) == len(got)
}

func (f *armedFault) late() bool {
	return slices.Contains([]Effect{LoseReply, DropAfter, HangAfter}, f.Effect)
}

func (f *armedFault) failure() *answer {
	kind := cmp.Or(f.Kind, "Internal")
	return refuseWith(cmp.Or(f.Status, statusOfKind[kind], http.StatusInternalServerError), kind, "injected: "+f.label())
}

// before applies what strikes ahead of the operation; nil means go on.
func before(ctx context.Context, s *Simulator, hits []*armedFault) *answer {
	for _, f := range hits {
		if f.Before != nil {
			f.Before()
		}
		if !f.late() && !s.sleep(ctx, f.Delay) {
			hangUp()
		}
		switch f.Effect {
		case FailBefore:
			return f.failure()
		case EmptyNotFound:
			return emptyNotFound()
		case DropBefore:
			hangUp()
		case HangBefore:
			<-ctx.Done()
			hangUp()
		case None, LoseReply, DropAfter, HangAfter, StaleRead, DuplicateEntry, OmitVolume, MalformedJSON:
			// They strike once the operation is done, if at all.
		}
	}
	return nil
}

// after applies what strikes once the operation is done. It returns true when
// no answer may be sent.
func after(ctx context.Context, s *Simulator, hits []*armedFault, req *Request, a *answer) (*answer, bool) {
	if a == nil {
		return nil, true
	}
	s.remember(req, a, hits)
	for _, f := range hits {
		if f.After != nil {
			f.After()
		}
		if f.late() && !s.sleep(ctx, f.Delay) {
			return nil, true
		}
		switch f.Effect {
		case LoseReply:
			a = f.failure()
		case DropAfter:
			return nil, true
		case HangAfter:
			<-ctx.Done()
			return nil, true
		case MalformedJSON:
			out := a.bytes()
			a = &answer{status: a.status, raw: out[:len(out)/2]}
		case DuplicateEntry, OmitVolume:
			if list, isList := a.body.(volumesJSON); isList && a.raw == nil {
				a = ok(f.twist(list))
			}
		case None, FailBefore, DropBefore, HangBefore, EmptyNotFound:
			// They struck before the operation, if at all.
		case StaleRead:
			// remember played the old answer back.
		}
	}
	return a, false
}

// twist makes a volume list wrong.
func (f *armedFault) twist(list volumesJSON) volumesJSON {
	if len(list.Entries) == 0 {
		return list
	}
	entries := slices.Clone(list.Entries)
	if f.Effect == DuplicateEntry {
		entries = append(entries, entries[0])
	} else {
		gone := cmp.Or(f.Volume, entries[0].Spec.UUID)
		entries = slices.DeleteFunc(entries, func(v volumeJSON) bool { return v.Spec.UUID == gone })
	}
	return volumesJSON{Entries: entries, NextToken: list.NextToken}
}

// remember keeps the answers of reads while a stale read is armed, and plays an
// old one back when it strikes. A path never read before answers freshly.
func (s *Simulator) remember(req *Request, a *answer, hits []*armedFault) {
	if req.Method != http.MethodGet || a.status != http.StatusOK || a.text {
		return
	}
	key := req.Path + "?" + req.Query.Encode()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.ContainsFunc(s.faults, func(f *armedFault) bool { return f.Effect == StaleRead }) {
		return
	}
	if slices.ContainsFunc(hits, func(f *armedFault) bool { return f.Effect == StaleRead }) {
		if old, had := s.answers[key]; had {
			a.raw = old
		}
		return
	}
	s.answers[key] = a.bytes()
}

package mayastor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// Config says where the control plane is and how to speak to it.
type Config struct {
	// URL of the REST service without /v0: http or https, a path is allowed.
	URL string
	// HTTP is used as it is, but never follows redirects. Nil means a client of
	// its own with limits on every phase.
	HTTP *http.Client
	// Token returns the bearer token to send, and is asked before each request.
	// Nil sends none.
	Token func(context.Context) (string, error)
	// Timeout of one request. 0 means 30 s; reads take at most 10 s.
	Timeout time.Duration
	// PageSize is how many volumes are asked for at a time; 0 means 500.
	PageSize int
}

// Limits on what a server may do to us.
const (
	defaultTimeout  = 30 * time.Second
	readTimeout     = 10 * time.Second
	defaultPageSize = 500
	maxPages        = 2000     // of volumes
	maxBody         = 32 << 20 // bytes of one answer
	maxErrorBody    = 64 << 10
	maxRetries      = 2 // of a read
	firstRetry      = 250 * time.Millisecond
)

// link sends requests. It is safe for concurrent use.
type link struct {
	base     string // without a trailing slash, with /v0
	http     *http.Client
	token    func(context.Context) (string, error)
	reads    time.Duration
	writes   time.Duration
	pageSize int
}

func newLink(c Config) (*link, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		// The text of err would repeat the whole URL, password and all.
		return nil, errors.New("the Mayastor URL cannot be parsed")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("the Mayastor URL %q is not of the form http://host:port", u.Redacted())
	case u.User != nil:
		return nil, errors.New("the Mayastor URL holds a user name; use a token instead")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("the Mayastor URL %q has a query or a fragment", u.Redacted())
	case c.Timeout < 0 || c.PageSize < 0:
		return nil, errors.New("the Mayastor client's timeout and page size cannot be negative")
	}
	l := &link{
		base:     strings.TrimSuffix(strings.TrimRight(u.String(), "/"), "/v0") + "/v0",
		token:    c.Token,
		writes:   defaultTimeout,
		reads:    readTimeout,
		pageSize: defaultPageSize,
	}
	if c.Timeout > 0 {
		l.writes, l.reads = c.Timeout, min(c.Timeout, readTimeout)
	}
	if c.PageSize > 0 {
		l.pageSize = c.PageSize
	}
	client := http.Client{Transport: newTransport()}
	if c.HTTP != nil {
		client = *c.HTTP
	}
	// A redirect would send the token elsewhere, or turn a PUT into a GET.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	l.http = &client
	return l, nil
}

// newTransport has limits on each phase but the answer, which the deadline of
// the request bounds.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:    5 * time.Second,
		MaxIdleConns:           8,
		MaxIdleConnsPerHost:    4,
		MaxConnsPerHost:        16,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}
}

// request is one call.
type request struct {
	op     string // what is tried, for errors
	method string
	path   string // escaped, below /v0
	query  url.Values
	body   any // nil sends none
	// buffer takes the answer; nil is a new one. What was in it is gone.
	buffer *bytes.Buffer
}

// answer is decoded in a way of its own. It sets all of itself, whatever was in
// it, and keeps nothing of the body.
type answer interface{ decode(body []byte) error }

// failed starts an error about r.
func (r request) failed(err error) *Error {
	return &Error{Op: r.op, Method: r.method, Path: "/v0" + r.path, Err: err}
}

// get reads into out, an [answer] or else decoded by encoding/json, and asks
// again a few times while nobody knows what happened. A read changes nothing,
// so that is safe.
func (l *link) get(ctx context.Context, r request, out any) error {
	r.method = http.MethodGet
	for try := 0; ; try++ {
		e := l.once(ctx, r, out)
		if e == nil {
			return nil
		}
		if e.class != ClassUnsure || e.final || try == maxRetries || ctx.Err() != nil {
			return e
		}
		// Between half and the whole of a doubling wait.
		full := firstRetry << try
		t := time.NewTimer(full/2 + rand.N(full/2))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return e
		}
	}
}

// send changes something, once. Whether it was done after an error of class
// unsure, only reading can tell.
func (l *link) send(ctx context.Context, r request, out any) error {
	if e := l.once(ctx, r, out); e != nil {
		return e
	}
	return nil
}

// once sends r and decodes the answer. It returns a pointer, not an error, so
// that it can be looked at; nil means 200 and a body that was understood.
func (l *link) once(ctx context.Context, r request, out any) *Error {
	limit, what := l.writes, "change"
	if r.method == http.MethodGet {
		limit, what = l.reads, "read"
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit,
		fmt.Errorf("no whole answer within %s, the limit of one %s: %w", limit, what, context.DeadlineExceeded))
	defer cancel()

	req, e := l.build(ctx, r)
	if e != nil {
		return e
	}
	// The timer of a process that was paused fires some time after it wakes up.
	// What must not be sent after a deadline is held back by the clock itself.
	if until, ok := ctx.Deadline(); ok && !time.Now().Before(until) {
		return r.failed(fmt.Errorf("not sent, as it is too late for it: %w", cmp.Or(context.Cause(ctx), context.DeadlineExceeded)))
	}
	res, err := l.http.Do(req)
	if err != nil {
		return r.failed(reason(ctx, err))
	}
	defer func() {
		// With little left to read the connection is fit for another request.
		_, _ = io.CopyN(io.Discard, res.Body, maxErrorBody)
		_ = res.Body.Close()
	}()

	most := int64(maxBody)
	if res.StatusCode != http.StatusOK {
		most = maxErrorBody
	}
	body, err := r.read(res, most)
	e = r.failed(nil)
	e.Status = res.StatusCode
	switch {
	case err != nil && res.StatusCode == http.StatusOK:
		e.Err = fmt.Errorf("read the answer: %w", reason(ctx, err))
		return e
	case res.StatusCode != http.StatusOK:
		// What could be read says more than why the rest could not.
		e.judge(body[:min(len(body), maxErrorBody)])
		e.final = res.StatusCode < 300
		return e
	case int64(len(body)) > most:
		e.Err = fmt.Errorf("the answer is longer than %d bytes", most)
		e.final = true
		return e
	}
	if err := decode(body, out); err != nil {
		e.Err = fmt.Errorf("the answer is not the JSON that was expected: %w", err)
		e.answer = short(string(body), maxQuoted)
		return e
	}
	return nil
}

// read returns the body, but not much more than most of it.
func (r request) read(res *http.Response, most int64) ([]byte, error) {
	b := r.buffer
	if b == nil {
		b = new(bytes.Buffer)
	}
	b.Reset()
	if n := res.ContentLength; n > 0 && n <= most {
		b.Grow(int(n) + bytes.MinRead) // or it grows once more, to see the end
	}
	_, err := b.ReadFrom(io.LimitReader(res.Body, most+1))
	return b.Bytes(), err
}

// decode sets out to what body says, and to nothing else: what is left of an
// answer before, which could not be read whole, must not be taken for a part of
// this one.
func decode(body []byte, out any) error {
	if a, ok := out.(answer); ok {
		return a.decode(body)
	}
	reflect.ValueOf(out).Elem().SetZero()
	return json.Unmarshal(body, out)
}

// build makes the HTTP request. Nothing was sent when it returns an error.
func (l *link) build(ctx context.Context, r request) (*http.Request, *Error) {
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			e := r.failed(fmt.Errorf("encode the request: %w", err))
			e.class = ClassRefused
			return nil, e
		}
		body = bytes.NewReader(text)
	}
	address := l.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, body)
	if err != nil {
		e := r.failed(reason(ctx, err))
		e.class = ClassRefused
		return nil, e
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "couchestor")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if l.token != nil {
		token, err := l.token(ctx)
		if err != nil {
			e := r.failed(fmt.Errorf("get the bearer token: %w", err))
			if ctx.Err() == nil {
				e.class = ClassDenied
			}
			return nil, e
		}
		// Files of tokens end with a line feed.
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(token))
	}
	return req, nil
}

// reason takes the address, which may be private, out of err, and says which
// limit it was if it was one.
func reason(ctx context.Context, err error) error {
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err
	}
	if ctx.Err() == nil {
		return err
	}
	cause := context.Cause(ctx)
	if errors.Is(cause, ctx.Err()) {
		return cause
	}
	return fmt.Errorf("%w: %w", ctx.Err(), cause)
}

// segment escapes id for use as one segment of a path. It returns an error for
// what a server or proxy would resolve to another path.
func segment(what, id string) (string, error) {
	if id == "" || id == "." || id == ".." {
		return "", fmt.Errorf("%q is no name of a %s", id, what)
	}
	return url.PathEscape(id), nil
}

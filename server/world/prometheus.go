package world

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/config"
)

const (
	// maxAnswer bounds the body of one answer, in bytes. An element of a vector
	// takes about 100, so this is room for several hundred thousand volumes.
	maxAnswer = 64 << 20
	// maxSkew is how far the time of a vector may be from the time that was
	// asked for. Some servers shift it a little; a cache may answer with an old
	// one; an element without a value has none at all.
	maxSkew = 5 * time.Minute
)

// promClient asks one Prometheus.
type promClient struct {
	http *http.Client
	// queries is the address that queries are sent to.
	queries string
	// host is how messages name the server: without credentials.
	host    string
	timeout time.Duration
	// consequence is what follows where there is no answer, in the words of the
	// message of a fault.
	consequence string
}

// noScores follows from a score that cannot be read.
const noScores = "scores are unknown and no new move starts"

// newPromClient returns a client of the Prometheus at address. httpConfig nil
// means no credentials and the system's certificates; its files are read again
// as they change. transport nil means the network.
func newPromClient(address string, httpConfig *config.HTTPClientConfig, transport http.RoundTripper, timeout time.Duration) (*promClient, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("prometheus url: %w", err)
	}
	hc := &http.Client{Transport: transport}
	if transport == nil {
		c := cmp.Or(httpConfig, &config.DefaultHTTPClientConfig)
		if hc, err = config.NewClientFromConfig(*c, "prometheus"); err != nil {
			return nil, fmt.Errorf("prometheus http client: %w", err)
		}
	}
	hc.Transport = &cappedTransport{next: hc.Transport, limit: maxAnswer}
	return &promClient{http: hc, queries: u.JoinPath("api/v1/query").String(), host: u.Host, timeout: timeout, consequence: noScores}, nil
}

// query evaluates the query at one instant, and has take have each element of the
// vector that is the answer, as it comes in: what it was given is good only if
// there is no error in the end. take returns what is wrong with an element, to
// stand after "What answers is not the API of Prometheus", or "". The error is a
// [*Fault].
func (c *promClient) query(ctx context.Context, query string, at time.Time, take func(e element) (wrong string)) error {
	// A wrong element counts only if the answer is otherwise good.
	var wrong string
	a, err := c.ask(ctx, url.Values{
		"query":   {query},
		"time":    {strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', -1, 64)},
		"timeout": {c.timeout.String()},
	}.Encode(), func(raw []byte) error {
		e, ok, err := elementOf(raw)
		switch {
		case err != nil:
			return err
		case wrong != "":
		case !ok:
			wrong = "an empty element in a vector"
		case e.at.Time().Sub(at).Abs() > maxSkew:
			wrong = "a value of another time than was asked for"
		default:
			wrong = take(e)
		}
		return nil
	})
	if err != nil {
		return c.fault(ctx, err)
	}
	if w := realWarnings(a.warnings); len(w) > 0 {
		return &Fault{
			Reason: PartialAnswer,
			Message: fmt.Sprintf("Prometheus at %s warns that its answer may be incomplete (%s), so %s; look at the health of its storage and remote reads.",
				c.host, clip(w[0]), c.consequence),
		}
	}
	if a.instead != "" {
		wrong = a.instead + " instead of a vector"
	}
	if wrong != "" {
		return c.badAnswer(wrong, nil)
	}
	return nil
}

// ask sends the form by POST, which has no bound on its length, and by GET if
// POST is not allowed.
func (c *promClient) ask(ctx context.Context, form string, element func(raw []byte) error) (reply, error) {
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, c.queries, strings.NewReader(form))
	if err != nil {
		return reply{}, fmt.Errorf("ask by POST: %w", err)
	}
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// Tells net/http that it may be sent anew over another connection.
	post.Header["Idempotency-Key"] = nil
	status, a, err := c.do(post, element)
	switch status {
	case http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented:
	default:
		return a, err
	}
	get, err := http.NewRequestWithContext(ctx, http.MethodGet, c.queries+"?"+form, http.NoBody)
	if err != nil {
		return reply{}, fmt.Errorf("ask by GET: %w", err)
	}
	_, a, err = c.do(get, element)
	return a, err
}

// do makes one request. status is 0 if there is no response.
func (c *promClient) do(r *http.Request, element func(raw []byte) error) (status int, a reply, err error) {
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, a, err
	}
	defer resp.Body.Close()
	status = resp.StatusCode
	good := status/100 == 2
	// These come with an answer of the API that says why.
	explained := status == http.StatusBadRequest || status == http.StatusUnprocessableEntity
	body := &trackedReader{Reader: resp.Body}
	var bad error
	if good || explained {
		if !good {
			element = nil
		}
		a, bad = decodeReply(body, element)
	}
	// The connection can be used again only if all was read; and what could not
	// be read to its end says nothing by its beginning.
	_, _ = io.Copy(io.Discard, body)
	if body.err != nil {
		return status, a, body.err
	}
	switch {
	case good && bad != nil:
		err = &apiError{badResponse, bad.Error()}
	case good && a.status == "error":
		err = &apiError{a.errorType, a.err}
	case good:
	case explained && bad == nil && a.status == "success":
		err = &apiError{badResponse, "inconsistent body for response code"}
	case explained && bad == nil:
		err = &apiError{cmp.Or(a.errorType, clientError), cmp.Or(a.err, fmt.Sprintf("client error: %d", status))}
	case status/100 == 4:
		err = &apiError{clientError, fmt.Sprintf("client error: %d", status)}
	case status/100 == 5:
		err = &apiError{"server_error", fmt.Sprintf("server error: %d", status)}
	default:
		err = &apiError{badResponse, fmt.Sprintf("bad response code %d", status)}
	}
	return status, a, err
}

// trackedReader keeps the error that ended reading before the end.
type trackedReader struct {
	io.Reader
	err error
}

func (r *trackedReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// apiError is an answer that says that there is none. kind is a word of the API
// of Prometheus for it, or one of those below.
type apiError struct{ kind, message string }

func (e *apiError) Error() string { return e.kind + ": " + e.message }

const (
	badResponse = "bad_response"
	clientError = "client_error"
	// timedOutKind is the word of the API for a query that took too long.
	timedOutKind = "timeout"
)

// realWarnings returns the warnings, sorted, without the remarks on style that
// Prometheus before 3.0 puts among them. One such remark comes with each
// answer, as Mayastor's counters do not end in _total.
func realWarnings(all []string) []string {
	w := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return strings.HasPrefix(s, "PromQL info:") })
	slices.Sort(w)
	return w
}

// fault classes what went wrong with a query.
func (c *promClient) fault(ctx context.Context, err error) *Fault {
	consequence := "so " + c.consequence
	if errors.Is(context.Cause(ctx), errClosed) {
		return &Fault{Reason: Closed, Message: "The service is ending.", Err: err}
	}
	if timedOut(err) || context.Cause(ctx) != nil {
		return &Fault{
			Reason:  TimedOut,
			Message: fmt.Sprintf("Prometheus at %s did not answer within %s, %s; look at its load, or raise --prometheus-timeout.", c.host, c.timeout, consequence),
			Err:     err,
		}
	}
	if errors.Is(err, errTooLong) {
		return c.badAnswer(errTooLong.Error(), err)
	}
	e, ok := errors.AsType[*apiError](err)
	if !ok {
		return &Fault{
			Reason:  Unreachable,
			Message: fmt.Sprintf("Prometheus at %s cannot be reached (%s), %s; check --prometheus-url and that Prometheus runs.", c.host, Cause(err), consequence),
			Err:     err,
		}
	}
	f := &Fault{Reason: QueryFailed, Err: err}
	switch {
	case e.kind == badResponse:
		return c.badAnswer(clip(e.message), err)
	case e.kind == timedOutKind:
		f.Reason = TimedOut
	case e.message == "client error: 401", e.message == "client error: 403":
		f.Reason = Unauthorized
		f.Message = fmt.Sprintf("Prometheus at %s refuses the credentials (%s), %s; check the file of --prometheus-http-config.", c.host, clip(e.message), consequence)
		return f
	}
	f.Message = fmt.Sprintf("Prometheus at %s answers with an error (%s), %s; look at its log.", c.host, clip(e.message), consequence)
	return f
}

func (c *promClient) badAnswer(what string, err error) *Fault {
	return &Fault{
		Reason:  BadAnswer,
		Message: fmt.Sprintf("What answers at %s is not the API of Prometheus: %s. %s; check --prometheus-url.", c.host, what, strings.ToUpper(c.consequence[:1])+c.consequence[1:]),
		Err:     err,
	}
}

var errTooLong = fmt.Errorf("an answer of more than %d MiB", maxAnswer>>20)

// cappedTransport ends an answer that is too long with an error, instead of
// with the memory of this process.
type cappedTransport struct {
	next  http.RoundTripper
	limit int64
}

func (t *cappedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err == nil {
		resp.Body = &cappedBody{ReadCloser: resp.Body, left: t.limit}
	}
	return resp, err
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] calls.
func (t *cappedTransport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

type cappedBody struct {
	io.ReadCloser
	left int64
}

func (b *cappedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n, errTooLong
	}
	return n, err
}

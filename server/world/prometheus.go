package world

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
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
	api  promv1.API
	http *http.Client
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
	client, err := api.NewClient(api.Config{Address: address, Client: hc})
	if err != nil {
		return nil, fmt.Errorf("prometheus client: %w", err)
	}
	return &promClient{api: promv1.NewAPI(client), http: hc, host: u.Host, timeout: timeout, consequence: noScores}, nil
}

// element is what a vector says of one volume.
type element struct {
	value float64
	// flaw is empty, or why the value must not be used, to stand after the name
	// of what was asked for.
	flaw string
}

// vector evaluates the query at one instant and returns its elements by
// pv_name. The map is empty, and the error nil, if the vector is; elements
// without a pv_name belong to no volume and are left out, unless all are
// without. The error is a [*Fault].
func (c *promClient) vector(ctx context.Context, query string, at time.Time) (map[string]element, error) {
	vec, err := c.query(ctx, query, at)
	if err != nil {
		return nil, err
	}
	return c.elements(vec, at)
}

// query evaluates the query at one instant. The error is a [*Fault].
func (c *promClient) query(ctx context.Context, query string, at time.Time) (model.Vector, error) {
	value, warnings, _, err := c.api.Query(ctx, query, at, promv1.WithTimeout(c.timeout))
	if err != nil {
		return nil, c.fault(ctx, err)
	}
	if w := realWarnings(warnings); len(w) > 0 {
		return nil, &Fault{
			Reason: PartialAnswer,
			Message: fmt.Sprintf("Prometheus at %s warns that its answer may be incomplete (%s), so %s; look at the health of its storage and remote reads.",
				c.host, clip(w[0]), c.consequence),
		}
	}
	vec, ok := value.(model.Vector)
	if !ok {
		what := "no result"
		if value != nil {
			what = "a " + value.Type().String()
		}
		return nil, c.badAnswer(fmt.Sprintf("%s instead of a vector", what), nil)
	}
	return vec, nil
}

func (c *promClient) elements(vec model.Vector, at time.Time) (map[string]element, error) {
	out := make(map[string]element, len(vec))
	for _, s := range vec {
		if s == nil {
			return nil, c.badAnswer("an empty element in a vector", nil)
		}
		if skew := s.Timestamp.Time().Sub(at).Abs(); skew > maxSkew {
			return nil, c.badAnswer("a value of another time than was asked for", nil)
		}
		name := string(s.Metric[pvName])
		if name == "" {
			continue
		}
		e := element{value: float64(s.Value)}
		switch _, twice := out[name]; {
		case twice:
			e.flaw = "is in the answer twice"
		case s.Histogram != nil:
			e.flaw = "is a histogram"
		case math.IsNaN(e.value):
			e.flaw = "is NaN"
		case math.IsInf(e.value, 0):
			e.flaw = "is infinite"
		case e.value < 0:
			e.flaw = "is negative"
		}
		out[name] = e
	}
	if len(vec) > 0 && len(out) == 0 {
		return nil, c.badAnswer("a vector without the label "+pvName, nil)
	}
	return out, nil
}

// realWarnings returns the warnings, sorted, without the remarks on style that
// Prometheus before 3.0 puts among them. One such remark comes with each
// answer, as Mayastor's counters do not end in _total.
func realWarnings(all promv1.Warnings) []string {
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
	e, ok := errors.AsType[*promv1.Error](err)
	if !ok {
		return &Fault{
			Reason:  Unreachable,
			Message: fmt.Sprintf("Prometheus at %s cannot be reached (%s), %s; check --prometheus-url and that Prometheus runs.", c.host, Cause(err), consequence),
			Err:     err,
		}
	}
	f := &Fault{Reason: QueryFailed, Err: err}
	switch {
	case e.Type == promv1.ErrBadResponse:
		return c.badAnswer(clip(e.Msg), err)
	case e.Type == promv1.ErrTimeout:
		f.Reason = TimedOut
	case e.Msg == "client error: 401", e.Msg == "client error: 403":
		f.Reason = Unauthorized
		f.Message = fmt.Sprintf("Prometheus at %s refuses the credentials (%s), %s; check the file of --prometheus-http-config.", c.host, clip(e.Msg), consequence)
		return f
	}
	f.Message = fmt.Sprintf("Prometheus at %s answers with an error (%s), %s; look at its log.", c.host, clip(e.Msg), consequence)
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

package openapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
)

// Transport checks what passes through next, requests and answers, and reports
// each fault; it never changes or refuses anything. Operations the document
// does not know are not checked. report must be safe for concurrent use.
func (d *Document) Transport(next http.RoundTripper, report func(error)) http.RoundTripper {
	return &transport{d, next, report}
}

type transport struct {
	doc    *Document
	next   http.RoundTripper
	report func(error)
}

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	method, path, query := req.Method, req.URL.EscapedPath(), req.URL.Query()
	if !t.doc.Has(method, path) {
		return t.next.RoundTrip(req)
	}
	var sent []byte
	if req.Body != nil && req.Body != http.NoBody {
		body, err := io.ReadAll(req.Body)
		if err = errors.Join(err, req.Body.Close()); err != nil {
			return nil, err
		}
		sent = body
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	if err := t.doc.Request(method, path, query, sent); err != nil {
		t.report(err)
	}
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		// Half an answer is the reader's to notice, with the same error.
		resp.Body = cutShort(body, err)
		return resp, nil
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err := t.doc.Response(method, path, resp.StatusCode, body); err != nil {
		t.report(err)
	}
	return resp, nil
}

// cutShort is a body that breaks off after its beginning.
func cutShort(beginning []byte, err error) io.ReadCloser {
	return io.NopCloser(io.MultiReader(bytes.NewReader(beginning), broken{err}))
}

// broken is a reader that fails.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

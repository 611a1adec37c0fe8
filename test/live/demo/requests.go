package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// requests keeps the last sync request of each policy, as Metacontroller sent it.
type requests struct {
	dir  string
	mu   sync.Mutex
	last map[string][]byte
}

// RoundTrip implements [http.RoundTripper].
func (r *requests) RoundTrip(q *http.Request) (*http.Response, error) {
	if strings.HasSuffix(q.URL.Path, "/sync") && q.GetBody != nil {
		if body, err := q.GetBody(); err == nil {
			r.note(body)
		}
	}
	return http.DefaultTransport.RoundTrip(q)
}

func (r *requests) note(body io.ReadCloser) {
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		return
	}
	var sent struct {
		Parent struct{ Metadata struct{ Name string } }
	}
	if json.Unmarshal(text, &sent) != nil || sent.Parent.Metadata.Name == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = map[string][]byte{}
	}
	r.last[sent.Parent.Metadata.Name] = text
}

// file is where the request of a policy is saved.
func (r *requests) file(policy string) string { return filepath.Join(r.dir, policy+".json") }

// save writes the last request of each policy to a file.
func (r *requests) save() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		return err
	}
	for policy, text := range r.last {
		if err := os.WriteFile(r.file(policy), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

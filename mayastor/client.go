package mayastor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Reader reads the control plane and can do nothing else: it has no method that
// sends anything but GET. It is safe for concurrent use. Every error is an
// [*Error].
type Reader struct {
	link  *link
	words *words
}

// NewReader checks c and speaks to nobody.
func NewReader(c Config) (*Reader, error) {
	l, err := newLink(c)
	if err != nil {
		return nil, err
	}
	return &Reader{l, newWords()}, nil
}

// Client reads, and changes what a move must change. It is safe for concurrent
// use. It never repeats a change by itself: after an error of class
// [ClassUnsure] read what is there (MS 5.4.4).
type Client struct{ *Reader }

// NewClient checks c and speaks to nobody.
func NewClient(c Config) (*Client, error) {
	r, err := NewReader(c)
	if err != nil {
		return nil, err
	}
	return &Client{r}, nil
}

// Volumes reads all volumes, page by page, each once, and returns them by uuid.
// The pages are no snapshot, and the server leaves out a volume whose state it
// cannot tell at the moment (MS 1.4). before is what it returned last, or nil:
// volumes that are still the same share its memory.
func (r *Reader) Volumes(ctx context.Context, before []Packed) ([]Packed, error) {
	l := newListing(r.words, before)
	token := int64(0)
	for n := 0; ; n++ {
		q := request{
			op: "list volumes", path: "/volumes", buffer: &l.buffer,
			query: url.Values{"max_entries": {strconv.Itoa(r.link.pageSize)}},
		}
		if n > 0 {
			q.query.Set("starting_token", strconv.FormatInt(token, 10))
		}
		p := page{listing: l}
		if err := r.link.get(ctx, q, &p); err != nil {
			return nil, err
		}
		switch {
		case !p.present:
			return nil, q.malformed("it has no entries")
		case p.nameless:
			return nil, q.malformed("a volume has no uuid")
		case p.next == nil:
			return l.sorted(), nil
		case *p.next <= token:
			return nil, q.malformed(fmt.Sprintf("its next token %d does not come after %d", *p.next, token))
		case n+1 == maxPages:
			return nil, q.malformed(fmt.Sprintf("there is no end of it after %d pages", maxPages))
		}
		token = *p.next
	}
}

// malformed is an answer that is JSON but not the expected one.
func (r request) malformed(what string) *Error {
	r.method = http.MethodGet
	e := r.failed(errors.New("the answer makes no sense: " + what))
	e.Status = http.StatusOK
	return e
}

// Volume reads one volume.
func (r *Reader) Volume(ctx context.Context, uuid string) (Volume, error) {
	q, err := one("read", "volume", "/volumes/", uuid)
	if err != nil {
		return Volume{}, err
	}
	return volumeOf(uuid, q, func(v *Volume) error { return r.link.get(ctx, q, v) })
}

// volumeOf calls, and checks that the answer is about uuid.
func volumeOf(uuid string, q request, call func(*Volume) error) (Volume, error) {
	var v Volume
	if err := call(&v); err != nil {
		return Volume{}, err
	}
	if !strings.EqualFold(v.Spec.UUID, uuid) {
		e := q.failed(fmt.Errorf("the answer is about volume %q", short(v.Spec.UUID, 60)))
		e.Status = http.StatusOK
		return Volume{}, e
	}
	return v, nil
}

// Pools reads all pools, in the server's order.
func (r *Reader) Pools(ctx context.Context) ([]Pool, error) {
	return list(ctx, r.link, "pool", "/pools", func(p Pool) string { return p.ID })
}

// Nodes reads all nodes, in the server's order.
func (r *Reader) Nodes(ctx context.Context) ([]Node, error) {
	return list(ctx, r.link, "node", "/nodes", func(n Node) string { return n.ID })
}

func list[T any](ctx context.Context, l *link, what, path string, id func(T) string) ([]T, error) {
	q := request{op: "list " + what + "s", path: path}
	var all []T
	if err := l.get(ctx, q, &all); err != nil {
		return nil, err
	}
	if all == nil {
		return nil, q.malformed("it is null")
	}
	if slices.ContainsFunc(all, func(t T) bool { return id(t) == "" }) {
		return nil, q.malformed("a " + what + " has no id")
	}
	return all, nil
}

// Pool reads one pool.
func (r *Reader) Pool(ctx context.Context, id string) (Pool, error) {
	q, err := one("read", "pool", "/pools/", id)
	if err != nil {
		return Pool{}, err
	}
	var p Pool
	if err := r.link.get(ctx, q, &p); err != nil {
		return Pool{}, err
	}
	if p.ID != id {
		return Pool{}, q.malformed(fmt.Sprintf("it is about pool %q", short(p.ID, 60)))
	}
	return p, nil
}

// Node reads one node.
func (r *Reader) Node(ctx context.Context, id string) (Node, error) {
	q, err := one("read", "node", "/nodes/", id)
	if err != nil {
		return Node{}, err
	}
	var n Node
	if err := r.link.get(ctx, q, &n); err != nil {
		return Node{}, err
	}
	if n.ID != id {
		return Node{}, q.malformed(fmt.Sprintf("it is about node %q", short(n.ID, 60)))
	}
	return n, nil
}

// one starts a request about one object.
func one(verb, what, prefix, id string) (request, error) {
	q := request{op: verb + " " + what + " " + short(id, 80), method: http.MethodGet, path: prefix}
	s, err := segment(what, id)
	if err != nil {
		e := q.failed(err)
		e.class = ClassRefused
		return request{}, e
	}
	q.path += s
	return q, nil
}

// RebuildRecord is a rebuild that ended. The list of them lives in the memory
// of one io-engine and is lost with the nexus: evidence, not truth (MS 2.7).
type RebuildRecord struct {
	ChildURI string `json:"childUri"`
	// State is Completed for a rebuild that copied everything.
	State             Status `json:"rebuildJobState"`
	BlocksTotal       int64  `json:"blocksTotal"`
	BlocksRecovered   int64  `json:"blocksRecovered"`
	BlocksTransferred int64  `json:"blocksTransferred"`
	BlockSize         int64  `json:"blockSize"`
	StartTime         string `json:"startTime"`
	EndTime           string `json:"endTime"`
}

// RebuildHistory reads the finished rebuilds of a volume's present nexus.
func (r *Reader) RebuildHistory(ctx context.Context, uuid string) ([]RebuildRecord, error) {
	q, err := one("read the rebuild history of", "volume", "/volumes/", uuid)
	if err != nil {
		return nil, err
	}
	q.path += "/rebuild-history"
	var answer struct {
		Records []RebuildRecord `json:"records"`
	}
	if err := r.link.get(ctx, q, &answer); err != nil {
		return nil, err
	}
	return answer.Records, nil
}

// SetReplicas asks for n replicas of a volume; the server takes steps of one
// only. The volume returned is as the server saw it right after: a new replica
// is only at the beginning of its rebuild.
func (c *Client) SetReplicas(ctx context.Context, uuid string, n int) (Volume, error) {
	q, err := one("scale", "volume", "/volumes/", uuid)
	if err != nil {
		return Volume{}, err
	}
	q.op += " to " + strconv.Itoa(n)
	q.method = http.MethodPut
	q.path += "/replica_count/" + strconv.Itoa(n)
	if n < 1 || n > 255 {
		e := q.failed(errors.New("the number of replicas must be from 1 to 255"))
		e.class = ClassRefused
		return Volume{}, e
	}
	return volumeOf(uuid, q, func(v *Volume) error { return c.link.send(ctx, q, v) })
}

// CordonPool sets the flag that keeps new replicas off a pool, and no other.
// changed is false if it was set before: then it is somebody else's. On an
// error changed says nothing.
func (c *Client) CordonPool(ctx context.Context, id string) (changed bool, err error) {
	return c.poolCordon(ctx, http.MethodPut, "cordon", id)
}

// UncordonPool clears that flag, and no other. changed is false if it was clear.
// On an error changed says nothing.
func (c *Client) UncordonPool(ctx context.Context, id string) (changed bool, err error) {
	return c.poolCordon(ctx, http.MethodDelete, "uncordon", id)
}

func (c *Client) poolCordon(ctx context.Context, method, verb, id string) (changed bool, err error) {
	q, err := one(verb, "pool", "/pools/", id)
	if err != nil {
		return false, err
	}
	q.method = method
	q.path += "/cordon"
	q.body = PoolCordon{Replicas: true}
	var p Pool
	switch err := c.link.send(ctx, q, &p); {
	case IsUnchanged(err):
		return false, nil
	case err != nil:
		return false, err
	case p.ID != id:
		e := q.failed(fmt.Errorf("the answer is about pool %q", short(p.ID, 60)))
		e.Status = http.StatusOK
		return false, e
	}
	return true, nil
}

// CordonNode puts a label of ours on a node: nothing new is placed there, and
// its replicas are removed first. changed is false if the label was there. On
// an error changed says nothing.
func (c *Client) CordonNode(ctx context.Context, node, label string) (changed bool, err error) {
	return c.nodeCordon(ctx, http.MethodPut, "cordon", node, label)
}

// UncordonNode takes the label off again; labels of others stay. changed is
// false if it was not there. On an error changed says nothing.
func (c *Client) UncordonNode(ctx context.Context, node, label string) (changed bool, err error) {
	return c.nodeCordon(ctx, http.MethodDelete, "uncordon", node, label)
}

func (c *Client) nodeCordon(ctx context.Context, method, verb, node, label string) (changed bool, err error) {
	q, err := one(verb, "node", "/nodes/", node)
	if err != nil {
		return false, err
	}
	q.method = method
	s, err := segment("cordon label", label)
	if err != nil {
		e := q.failed(err)
		e.class = ClassRefused
		return false, e
	}
	q.op += " with label " + short(label, 80)
	q.path += "/cordon/" + s
	var n Node
	err = c.link.send(ctx, q, &n)
	e, ok := errors.AsType[*Error](err)
	switch {
	case err == nil && n.ID == node:
		return true, nil
	case err == nil:
		e := q.failed(fmt.Errorf("the answer is about node %q", short(n.ID, 60)))
		e.Status = http.StatusOK
		return false, e
	case !ok || e.Kind != kindFailedPrecondition && !IsUnchanged(err):
		return false, err
	}
	// 412 has many causes and only its text tells them apart; the node itself
	// tells it better (MS 3.5).
	n, readErr := c.Node(ctx, node)
	if readErr == nil && n.cordonedBy(label) == (method == http.MethodPut) {
		return false, nil
	}
	return false, err
}

// cordonedBy says whether label is among the node's cordons.
func (n Node) cordonedBy(label string) bool {
	if n.Spec == nil || n.Spec.Cordon == nil {
		return false
	}
	for _, l := range []*CordonLabels{n.Spec.Cordon.Cordoned, n.Spec.Cordon.Draining, n.Spec.Cordon.Drained} {
		if l != nil && slices.Contains(l.CordonLabels, label) {
			return true
		}
	}
	return false
}

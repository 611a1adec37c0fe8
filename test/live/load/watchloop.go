package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/billyronks/couchestor/hooks"
)

// workers is Metacontroller's default.
const workers = 5

// hookTimeout is that of the CompositeController's webhooks.
const hookTimeout = 30 * time.Second

// watchLoop is Metacontroller's part.
type watchLoop struct {
	kube *kube
	url  string
	http *http.Client
	// related is true if the policies asked for related objects.
	related  bool
	queue    *queue
	jobs     *jobs
	measured *measured
	// sources are what the service reads meanwhile.
	sources []*traffic

	mu sync.Mutex
	// policies by name.
	policies map[string]*parent
	writes   int
}

// parent is a policy with its status.
type parent struct {
	*policy
	object []byte
	status any
}

func newWatchLoop(k *kube, t *town, j *jobs, m *measured) *watchLoop {
	l := &watchLoop{
		kube: k, queue: newQueue(), jobs: j, measured: m, policies: map[string]*parent{},
		http: &http.Client{Timeout: hookTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: workers, WriteBufferSize: 256 << 10}},
	}
	for _, p := range t.policies {
		l.policies[p.name] = &parent{policy: p}
		l.kube.put(policiesPath, p.name, l.rendered(p.name, nil))
	}
	return l
}

// rendered keeps the policy's object as the parent of requests, too.
func (l *watchLoop) rendered(name string, status json.RawMessage) render {
	return func(version int64) []byte {
		l.mu.Lock()
		defer l.mu.Unlock()
		p := l.policies[name]
		p.object = p.policy.object(version, status)
		return p.object
	}
}

// answer is what a sync answers.
type answer struct {
	Status             json.RawMessage   `json:"status"`
	Children           []json.RawMessage `json:"children"`
	ResyncAfterSeconds float64           `json:"resyncAfterSeconds"`
	Finalized          bool              `json:"finalized"`
}

// customize asks once, as the answer is cached, and finds out whether related
// objects are wanted.
func (l *watchLoop) customize(ctx context.Context, name string) error {
	object := fmt.Appendf(nil, `{"controller":{},"parent":%s}`, l.policies[name].object)
	reply, err := l.post(ctx, "customize", bytes.NewReader(object), int64(len(object)))
	if err != nil {
		return err
	}
	var rules struct {
		RelatedResources []struct{ Resource string }
	}
	if reply.code != http.StatusOK {
		return fmt.Errorf("customize answered %d %s", reply.code, reply.text)
	}
	if err := json.Unmarshal(reply.text, &rules); err != nil {
		return fmt.Errorf("read the customize answer: %w", err)
	}
	switch len(rules.RelatedResources) {
	case 0:
	case len(relatedKinds):
		l.related = true
	default:
		return fmt.Errorf("customize asks for %d kinds of objects, and requests are made with all %d or none", len(rules.RelatedResources), len(relatedKinds))
	}
	return nil
}

// run syncs until ctx ends: each policy in its turn of every, and what changed.
func (l *watchLoop) run(ctx context.Context, every time.Duration) {
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				name, ok := l.queue.next(ctx)
				if !ok {
					return
				}
				l.work(ctx, name)
			}
		})
	}
	names := l.names()
	tick := time.NewTicker(every / time.Duration(len(names)))
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		l.queue.add(names[i%len(names)])
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	wg.Wait()
}

func (l *watchLoop) names() []string {
	var names []string
	for name := range l.policies {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// all queues every policy, as a change of what all of them asked for does.
func (l *watchLoop) all() {
	for name := range l.policies {
		l.queue.add(name)
	}
}

// work syncs one policy and comes back to it when the answer says so.
func (l *watchLoop) work(ctx context.Context, name string) {
	defer l.queue.done(name)
	a, after, err := l.sync(ctx, name)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		l.measured.failed(err)
		l.queue.addAfter(name, max(after, time.Second))
	case a.ResyncAfterSeconds > 0:
		l.queue.addAfter(name, time.Duration(a.ResyncAfterSeconds*float64(time.Second)))
	}
}

// sync asks for one policy and does what the answer says. after is set if the
// service asks to be asked again after that time.
func (l *watchLoop) sync(ctx context.Context, name string) (a answer, after time.Duration, err error) {
	b := l.body(name)
	disturbed := l.watchSources()
	start := time.Now()
	reply, err := l.post(ctx, "sync", b, b.length)
	if err != nil {
		return a, 0, err
	}
	if reply.code != http.StatusOK {
		return a, reply.retryAfter, fmt.Errorf("sync of %s answered %d %s", name, reply.code, bytes.TrimSpace(reply.text))
	}
	l.measured.note(sample{whole: time.Since(start), wait: time.Since(b.sent), in: b.length, out: int64(len(reply.text)), disturbed: disturbed()})
	d := json.NewDecoder(bytes.NewReader(reply.text))
	d.DisallowUnknownFields() // hooks of version v2 are read strictly
	if err := d.Decode(&a); err != nil {
		return a, 0, fmt.Errorf("read the answer for %s: %w", name, err)
	}
	if a.Finalized {
		return a, 0, fmt.Errorf("the answer for %s lets go of a policy that is not being deleted", name)
	}
	if err := l.jobs.reconcile(l.policies[name].policy, a.Children); err != nil {
		return a, 0, err
	}
	return a, 0, l.writeStatus(name, a.Status)
}

// watchSources returns a function that tells whether any was read since.
func (l *watchLoop) watchSources() func() bool {
	var all []func() bool
	for _, t := range l.sources {
		all = append(all, t.watch())
	}
	return func() bool { return slices.ContainsFunc(all, func(disturbed func() bool) bool { return disturbed() }) }
}

// body is the request for a policy.
func (l *watchLoop) body(name string) *body {
	l.mu.Lock()
	p := l.policies[name]
	object := p.object
	l.mu.Unlock()
	if l.related {
		return newBody(object, l.jobs.of(p.policy), l.kube.list)
	}
	return newBody(object, l.jobs.of(p.policy), nil)
}

// writeStatus writes the status if it differs from what is there, as a whole, with
// the generation that Metacontroller adds.
func (l *watchLoop) writeStatus(name string, status json.RawMessage) error {
	var next map[string]any
	if err := json.Unmarshal(status, &next); err != nil || next == nil {
		return fmt.Errorf("the answer for %s has no status: %s", name, status)
	}
	next["observedGeneration"] = float64(1)
	l.mu.Lock()
	same := reflect.DeepEqual(l.policies[name].status, any(next))
	if !same {
		l.policies[name].status = next
		l.writes++
	}
	l.mu.Unlock()
	if !same {
		l.kube.put(policiesPath, name, l.rendered(name, json.RawMessage(text(next))))
	}
	return nil
}

// statusWrites counts them.
func (l *watchLoop) statusWrites() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writes
}

// reply is what a hook answered.
type reply struct {
	code int
	text []byte
	// retryAfter is set by an answer 429.
	retryAfter time.Duration
}

// post calls a hook and returns the whole answer.
func (l *watchLoop) post(ctx context.Context, hook string, body io.Reader, length int64) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+hooks.Prefix+"/"+hook, body)
	if err != nil {
		return reply{}, err
	}
	request.ContentLength = length
	request.Header.Set("Content-Type", "application/json")
	response, err := l.http.Do(request)
	if err != nil {
		return reply{}, fmt.Errorf("call the hook %s: %w", hook, err)
	}
	defer response.Body.Close()
	r := reply{code: response.StatusCode}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		r.retryAfter = time.Duration(seconds) * time.Second
	}
	r.text, err = io.ReadAll(response.Body)
	return r, err
}

// counted are figures of the statuses: what the policies say of themselves.
func (l *watchLoop) counted(field string) (sum int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.policies {
		if status, ok := p.status.(map[string]any); ok {
			if n, ok := status[field].(float64); ok {
				sum += int(n)
			}
		}
	}
	return sum
}

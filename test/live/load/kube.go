package main

import (
	"bytes"
	"slices"
	"sync"
)

// The kinds that are kept, by the path of their list.
const (
	volumesPath   = "/api/v1/persistentvolumes"
	claimsPath    = "/api/v1/persistentvolumeclaims"
	policiesPath  = "/apis/storage.billyronks.io/v1/storagepolicies"
	jobsPath      = "/apis/batch/v1/jobs"
	diskPoolsPath = "/apis/openebs.io/v1beta3/diskpools"
)

// kube is what Kubernetes has. Its methods may be called at once.
type kube struct {
	mu      sync.Mutex
	version int64
	kinds   map[string]*kind
	// changed is told of each change, in order, with the lock held.
	changed func(path string)
}

// kind holds the objects of one kind.
type kind struct {
	// entries are sorted by key. The slice is never changed, but replaced.
	entries []*entry
	watches map[*watch]bool
	// log has the last events, and all since version forgotten.
	log       []event
	forgotten int64
}

// event is a change as a watch tells it.
type event struct {
	version int64
	line    []byte
}

// remembered is how many events of a kind are kept for those who watch from before.
const remembered = 4096

// entry is one version of an object, as a member of a JSON object: "key":{...}.
type entry struct {
	key string
	// member has the whole, object its value. It is never changed.
	member, object []byte
}

// render makes an object of the given resourceVersion.
type render func(version int64) []byte

func newKube() *kube {
	k := &kube{version: 1_000, kinds: map[string]*kind{}, changed: func(string) {}}
	for _, path := range []string{volumesPath, claimsPath, policiesPath, jobsPath, diskPoolsPath} {
		k.kinds[path] = &kind{watches: map[*watch]bool{}}
	}
	return k
}

func newEntry(key string, object []byte) *entry {
	member := make([]byte, 0, len(key)+len(object)+3)
	member = append(member, '"')
	member = append(member, key...)
	member = append(member, '"', ':')
	start := len(member)
	member = append(member, object...)
	return &entry{key: key, member: member, object: member[start:]}
}

func byKey(e *entry, key string) int {
	switch {
	case e.key < key:
		return -1
	case e.key > key:
		return 1
	}
	return 0
}

// fill adds many objects at once, of which nobody is told.
func (k *kube) fill(path string, count int, each func(i int) (key string, r render)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make([]*entry, 0, count)
	for i := range count {
		key, r := each(i)
		k.version++
		all = append(all, newEntry(key, r(k.version)))
	}
	slices.SortFunc(all, func(a, b *entry) int { return byKey(a, b.key) })
	k.kinds[path].entries, k.kinds[path].forgotten = all, k.version
}

// put creates or replaces an object.
func (k *kube) put(path, key string, r render) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.version++
	of, e := k.kinds[path], newEntry(key, r(k.version))
	at, found := slices.BinarySearchFunc(of.entries, key, byKey)
	entries, what := slices.Clone(of.entries), "MODIFIED"
	if found {
		entries[at] = e
	} else {
		entries, what = slices.Insert(entries, at, e), "ADDED"
	}
	of.entries = entries
	of.tell(k.version, what, e.object)
	k.changed(path)
}

// remove deletes an object, if there is one.
func (k *kube) remove(path, key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	of := k.kinds[path]
	at, found := slices.BinarySearchFunc(of.entries, key, byKey)
	if !found {
		return
	}
	k.version++
	gone := of.entries[at]
	of.entries = slices.Delete(slices.Clone(of.entries), at, at+1)
	of.tell(k.version, "DELETED", gone.object)
	k.changed(path)
}

// list returns the objects of a kind as they are now.
func (k *kube) list(path string) []*entry {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kinds[path].entries
}

// watch is one watch of a kind. What it has to send waits in it.
type watch struct {
	mu      sync.Mutex
	waiting [][]byte
	wake    chan struct{}
}

// tell gives an event to all that watch. That of a deletion has the version of the
// deletion, not the object's.
func (of *kind) tell(version int64, what string, object []byte) {
	line := eventLine(what, object)
	of.log = append(of.log, event{version, line})
	if len(of.log) > remembered {
		of.forgotten = of.log[0].version
		of.log = of.log[1:]
	}
	for w := range of.watches {
		w.give(line)
	}
}

func eventLine(event string, object []byte) []byte {
	return slices.Concat([]byte(`{"type":"`), []byte(event), []byte(`","object":`), object, []byte("}\n"))
}

func (w *watch) give(line []byte) {
	w.mu.Lock()
	w.waiting = append(w.waiting, line)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watch) take() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := bytes.Join(w.waiting, nil)
	w.waiting = nil
	return lines
}

// begin starts a watch and returns what is there at that instant, and its version.
func (k *kube) begin(path string) (w *watch, entries []*entry, version int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	of := k.kinds[path]
	w = &watch{wake: make(chan struct{}, 1)}
	of.watches[w] = true
	return w, of.entries, k.version
}

// resume starts a watch from a version; false if what came since is forgotten.
func (k *kube) resume(path string, from int64) (w *watch, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	of := k.kinds[path]
	if from < of.forgotten {
		return nil, false
	}
	w = &watch{wake: make(chan struct{}, 1)}
	of.watches[w] = true
	for _, e := range of.log {
		if e.version > from {
			w.give(e.line)
		}
	}
	return w, true
}

// mark takes what a watch has still to send, and the version that it leads to.
func (k *kube) mark(w *watch) (lines []byte, version int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return w.take(), k.version
}

func (k *kube) end(path string, w *watch) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.kinds[path].watches, w)
}

// snapshot returns the objects of a kind with the version at which they are so.
func (k *kube) snapshot(path string) (entries []*entry, version int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.kinds[path].entries, k.version
}

// watchAll has a function called at each change, with the lock held.
func (k *kube) watchAll(changed func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.changed = func(string) { changed() }
}

package mayastor_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/billyronks/couchestor/mayastor"
)

// memLedger is a ledger in memory, for tests that make thousands of moves and
// kill thousands of migrators. Like the real ones it keeps journals as JSON,
// so that nothing survives a crash that would not survive a write.
type memLedger struct {
	mu         sync.Mutex
	volumes    map[string]*memVolume
	place      chan struct{}
	cordons    mayastor.Cordons
	admissions map[string]mayastor.Admission
}

type memVolume struct {
	lock            chan struct{}
	journal, memory []byte
	moved           time.Time
	result          *mayastor.Result
}

func newMemLedger() *memLedger {
	return &memLedger{volumes: map[string]*memVolume{}, place: make(chan struct{}, 1), admissions: map[string]mayastor.Admission{}}
}

func (m *memLedger) volume(id string) *memVolume {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.volumes[id] == nil {
		m.volumes[id] = &memVolume{lock: make(chan struct{}, 1)}
	}
	return m.volumes[id]
}

func (m *memLedger) Lock(ctx context.Context, id string) (mayastor.Lock, error) {
	v := m.volume(id)
	select {
	case v.lock <- struct{}{}:
		return &memLock{m: m, v: v, id: id}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

type memLock struct {
	m      *memLedger
	v      *memVolume
	id     string
	placed *memPlacement
	gone   bool
}

func (l *memLock) Journal() *mayastor.Journal {
	if l.v.journal == nil {
		return nil
	}
	j := new(mayastor.Journal)
	if err := json.Unmarshal(l.v.journal, j); err != nil {
		panic(err)
	}
	return j
}

func (l *memLock) Write(_ context.Context, j *mayastor.Journal) (err error) {
	l.v.journal, err = json.Marshal(j)
	return err
}

func (l *memLock) Guard(ctx context.Context) (context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithCancel(ctx)
	return ctx, cancel, nil
}

func (l *memLock) Memory(context.Context) (a mayastor.Attempt, err error) {
	if l.v.memory != nil {
		err = json.Unmarshal(l.v.memory, &a)
	}
	return a, err
}

func (l *memLock) Remember(_ context.Context, a mayastor.Attempt, moved time.Time) (err error) {
	if !moved.IsZero() {
		l.v.moved = moved
	}
	l.v.memory, err = json.Marshal(a)
	return err
}

func (l *memLock) Report(_ context.Context, r mayastor.Result) error {
	l.v.result = &r
	return nil
}

func (l *memLock) Admit(_ context.Context, a mayastor.Admission) error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if err := a.Fits(slices.Collect(maps.Values(l.m.admissions))); err != nil {
		return err
	}
	l.m.admissions[a.Volume] = a
	return nil
}

func (l *memLock) Place(ctx context.Context) (mayastor.Placement, error) {
	select {
	case l.m.place <- struct{}{}:
		l.placed = &memPlacement{l}
		return l.placed, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (l *memLock) Release(context.Context) error {
	l.m.mu.Lock()
	delete(l.m.admissions, l.id)
	l.m.mu.Unlock()
	l.v.journal = nil
	l.Abandon()
	return nil
}

func (l *memLock) Abandon() {
	if !l.gone {
		l.gone = true
		<-l.v.lock
	}
}

type memPlacement struct{ l *memLock }

func (p *memPlacement) Leftovers() mayastor.Cordons {
	c := p.l.m.cordons
	return mayastor.Cordons{Pools: slices.Clone(c.Pools), Nodes: slices.Clone(c.Nodes)}
}

func (p *memPlacement) Record(_ context.Context, c mayastor.Cordons) error {
	p.l.m.cordons = mayastor.Cordons{Pools: slices.Clone(c.Pools), Nodes: slices.Clone(c.Nodes)}
	return nil
}

func (p *memPlacement) Prefix() string { return mayastor.LabelPrefix }

func (p *memPlacement) Guard(ctx context.Context) (context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithCancel(ctx)
	return ctx, cancel, nil
}

func (p *memPlacement) Label() string { return mayastor.LabelPrefix + p.l.id[:8] }

func (p *memPlacement) Release(context.Context) error {
	<-p.l.m.place
	return nil
}

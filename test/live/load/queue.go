package main

import (
	"context"
	"sync"
	"time"
)

// queue is Metacontroller's work queue: a policy is worked on by one worker at a
// time, and what is added meanwhile is kept for once after.
type queue struct {
	mu      sync.Mutex
	waiting []string
	queued  map[string]bool
	working map[string]bool
	wake    chan struct{}
}

func newQueue() *queue {
	return &queue{queued: map[string]bool{}, working: map[string]bool{}, wake: make(chan struct{}, 1)}
}

// add queues a policy, unless it is already.
func (q *queue) add(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.queued[name] {
		return
	}
	q.queued[name] = true
	q.waiting = append(q.waiting, name)
	q.poke()
}

// addAfter queues it later.
func (q *queue) addAfter(name string, wait time.Duration) {
	if wait <= 0 {
		q.add(name)
		return
	}
	time.AfterFunc(wait, func() { q.add(name) })
}

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next waits for a policy that nobody works on, in the order in which they were
// added; false once ctx ends. The caller calls done.
func (q *queue) next(ctx context.Context) (name string, ok bool) {
	for {
		if ctx.Err() != nil {
			return "", false
		}
		if name, ok = q.take(); ok {
			return name, true
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
		}
	}
}

func (q *queue) take() (name string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, name := range q.waiting {
		if q.working[name] {
			continue
		}
		q.waiting = append(q.waiting[:i:i], q.waiting[i+1:]...)
		delete(q.queued, name)
		q.working[name] = true
		q.poke() // there may be more
		return name, true
	}
	return "", false
}

func (q *queue) done(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.working, name)
	q.poke()
}

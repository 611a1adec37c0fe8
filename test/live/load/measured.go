package main

import (
	"slices"
	"sync"
	"time"
)

// sample is one sync that was answered.
type sample struct {
	// whole is from the first byte sent to the last one received; wait is from the
	// last byte sent.
	whole, wait time.Duration
	// in and out are bytes.
	in, out int64
	// disturbed is true if a source was being read meanwhile.
	disturbed bool
}

// measured are the syncs of the run. Its methods may be called at once.
type measured struct {
	mu      sync.Mutex
	samples []sample
	errors  int
	first   error
}

func (m *measured) note(s sample) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.samples = append(m.samples, s)
}

// failed counts a call that was not answered with 200 and a whole answer.
func (m *measured) failed(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.errors++
	if m.first == nil {
		m.first = err
	}
}

// forget begins anew.
func (m *measured) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.samples, m.errors, m.first = nil, 0, nil
}

// spread are percentiles, in milliseconds.
type spread struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// spreadOf is that of the durations; zero of none.
func spreadOf(all []time.Duration) spread {
	if len(all) == 0 {
		return spread{}
	}
	slices.Sort(all)
	at := func(part float64) float64 {
		return milliseconds(all[min(len(all)-1, int(part*float64(len(all))))])
	}
	return spread{at(0.50), at(0.90), at(0.99), milliseconds(all[len(all)-1])}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// spreads of the samples, and the means of their bytes.
func (m *measured) spreads() (whole, wait spread, in, out int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var wholes, waits []time.Duration
	for _, s := range m.samples {
		wholes, waits = append(wholes, s.whole), append(waits, s.wait)
		in += s.in
		out += s.out
	}
	n := max(1, int64(len(m.samples)))
	return spreadOf(wholes), spreadOf(waits), in / n, out / n
}

// undisturbed are the whole times of those that met no reading of a source.
func (m *measured) undisturbed() (whole spread, count int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []time.Duration
	for _, s := range m.samples {
		if !s.disturbed {
			all = append(all, s.whole)
		}
	}
	return spreadOf(all), len(all)
}

func (m *measured) counts() (syncs, errors int, first error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.samples), m.errors, m.first
}

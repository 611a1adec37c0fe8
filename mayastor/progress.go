package mayastor

import (
	"fmt"
	"time"
)

// Progress is how a move goes, as of the server's last poll of the rebuild.
type Progress struct {
	// Replica counts from 1; Replicas is how many have to move.
	Replica, Replicas int
	FromPool, ToPool  string
	// Percent of the rebuild, 0 to 100.
	Percent int
	// BytesPerSecond and Left are estimates from the rebuild so far; zero
	// until there is something to go by.
	BytesPerSecond int64
	Left           time.Duration
	// Waiting says what is waited for once the rebuild is over.
	Waiting string
}

// proof is the proof that a volume is whole: two reads at least a cache period
// apart, with nothing in between that looked different (MS 5.4.7).
type proof struct {
	key   string
	since time.Time
}

// see takes one reading into account, and whether it looks good, and reports
// whether the proof is made.
func (p *proof) see(v Volume, good bool, now time.Time, period time.Duration) bool {
	if !good || v.Spec.Operation != nil || v.State.Target == nil {
		*p = proof{}
		return false
	}
	key := fmt.Sprint(v.Spec.NumReplicas, v.State.Target.UUID, v.uuids())
	if p.key != key {
		*p = proof{key: key, since: now}
		return false
	}
	return now.Sub(p.since) >= period
}

// rate follows the rebuild of one replica.
type rate struct {
	replica  string
	begun    time.Time
	percent  int
	from     int
	progress time.Time
	// longest is how long a percent took so far: of a large volume a percent
	// is many gigabytes.
	longest time.Duration
}

// see takes one reading into account and returns for how long there has been
// no progress.
func (p *rate) see(replica string, rt ReplicaTopology, now time.Time) time.Duration {
	percent := 0
	if rt.RebuildProgress != nil {
		percent = *rt.RebuildProgress
	}
	switch {
	case p.replica != replica || percent < p.percent:
		*p = rate{replica: replica, begun: now, percent: percent, from: percent, progress: now}
	case percent > p.percent:
		p.longest = max(p.longest, now.Sub(p.progress))
		p.percent, p.progress = percent, now
	}
	return now.Sub(p.progress)
}

// progress tells the caller of the migrator how the rebuild goes.
func (r *run) progress(rt ReplicaTopology) {
	if r.Progress == nil {
		return
	}
	off := 0
	for _, o := range r.j.Original {
		if !r.j.onTarget(o.Pool) {
			off++
		}
	}
	p := Progress{Replica: r.j.Finished + 1, Replicas: off, FromPool: r.j.Victim.Pool, ToPool: r.j.New.Pool, Percent: r.rate.percent}
	if rt.RebuildProgress == nil {
		p.Percent, p.Waiting = 100, "proof of sync"
	} else if done, took := r.rate.percent-r.rate.from, r.rate.progress.Sub(r.rate.begun); done > 0 && took > 0 {
		perPercent := took / time.Duration(done)
		p.Left = perPercent * time.Duration(100-r.rate.percent)
		p.BytesPerSecond = int64(float64(r.j.Bytes) / 100 / perPercent.Seconds())
	}
	r.Progress(p)
}

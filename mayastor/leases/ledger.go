// Package leases is the ledger of migrators in a cluster: a Lease for each
// volume that is being worked on, and one for the whole cluster.
//
// The Lease couchestor-volume-<uuid> is the lock of the volume and carries its
// journal. The Lease couchestor-cluster carries the moves that run, so that
// caps hold whatever the planners think, and is at the same time the placement
// lock with the record of the cordons that are up.
//
// Every write is an Update with the resourceVersion of the last one, so a
// holder that lost its lock learns of it from the conflict, before the side
// effect that the write was for. Expiry is judged by the observer's own clock
// over a record that did not change, never by comparing two clocks.
package leases

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/billyronks/couchestor/mayastor"
)

// The names of the Leases and of what they carry.
const (
	VolumePrefix = "couchestor-volume-"
	ClusterName  = "couchestor-cluster"

	journalAnnotation    = "storage.billyronks.io/journal"
	admissionsAnnotation = "storage.billyronks.io/admissions"
	cordonsAnnotation    = "storage.billyronks.io/cordons"
)

// Config is what a ledger needs to know.
type Config struct {
	// Client should give a call up after a sixth of Duration, so that a server
	// that does not answer does not hold a renewal up until it is too late.
	Client kubernetes.Interface
	// Namespace of the Leases and Jobs.
	Namespace string
	// Holder names this migrator; it must differ between any two processes.
	Holder string
	// Job is the name of the Job to report to, or "" by hand.
	Job string
	// Duration is how long an unchanged record keeps its holder; 60 s. It must
	// be the same for all migrators of a cluster.
	Duration time.Duration
	Log      *slog.Logger
}

// Ledger is a [mayastor.Ledger] in a cluster. It may be used by several
// goroutines.
type Ledger struct {
	cfg Config
}

// New returns the ledger.
func New(cfg Config) (*Ledger, error) {
	var errs []error
	if cfg.Namespace == "" {
		errs = append(errs, errors.New("the namespace of the Leases is missing"))
	}
	if cfg.Holder == "" {
		errs = append(errs, errors.New("the name of the holder is missing"))
	}
	if cfg.Duration <= 0 {
		errs = append(errs, fmt.Errorf("the lease duration is %s: it must be longer than zero", cfg.Duration))
	}
	return &Ledger{cfg}, errors.Join(errs...)
}

// renewEvery is the time between two renewals, and safeFor how long after the
// last one a side effect may still be under way: 15 s and 40 s of 60 s.
func (c Config) renewEvery() time.Duration { return c.Duration / 4 }
func (c Config) safeFor() time.Duration    { return c.Duration * 2 / 3 }

// Lock implements [mayastor.Ledger].
func (l *Ledger) Lock(ctx context.Context, volume string) (mayastor.Lock, error) {
	h, err := l.take(ctx, VolumePrefix+volume)
	if err != nil {
		return nil, fmt.Errorf("lock volume %s: %w", volume, err)
	}
	lock := &lock{ledger: l, volume: volume, held: h}
	if err := lock.readJournal(); err != nil {
		lock.abandon(ctx)
		return nil, fmt.Errorf("read the journal of volume %s: %w; it says what an earlier attempt left behind, so nothing is done without it", volume, err)
	}
	return lock, nil
}

// take waits until the named Lease is free or its holder is gone, and takes it.
func (l *Ledger) take(ctx context.Context, name string) (*held, error) {
	api := l.cfg.Client.CoordinationV1().Leases(l.cfg.Namespace)
	var watch observation
	var p patience
	said := ""
	for {
		lease, err := api.Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			if err = l.create(ctx, name); err == nil {
				continue
			}
		case err == nil && watch.free(lease, l.cfg.Duration):
			sent := time.Now()
			taken := lease.DeepCopy()
			l.claim(taken)
			if taken, err = api.Update(ctx, taken, metav1.UpdateOptions{}); err == nil {
				return l.hold(ctx, taken, sent), nil
			}
		}
		// Who may not take a volume's Lease never could; who may not take the
		// cluster's could take that one.
		if err != nil && !passing(err) && (name != ClusterName || !p.with(err, l.cfg)) {
			return nil, err
		}
		said = l.waitsFor(ctx, name, lease, err, said)
		if werr := wait(ctx, l.cfg.Duration/60); werr != nil {
			if watch.holder != "" { // as last seen: ctx may have ended the last look
				return nil, fmt.Errorf("held by %s: %w", watch.holder, werr)
			}
			return nil, errors.Join(werr, err)
		}
	}
}

// create makes an empty Lease. That its namespace is missing no waiting mends.
func (l *Ledger) create(ctx context.Context, name string) error {
	_, err := l.cfg.Client.CoordinationV1().Leases(l.cfg.Namespace).Create(ctx,
		&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: l.cfg.Namespace}}, metav1.CreateOptions{})
	if apierrors.IsNotFound(err) {
		return final{fmt.Errorf("namespace %s, where the Leases of all migrators are, is not there; create it, or name the one that they are in: %w", l.cfg.Namespace, err)}
	}
	return err
}

// waitsFor says what a Lease is waited for, once for each reason, and returns
// the reason: somebody by hand would look at a terminal that says nothing.
func (l *Ledger) waitsFor(ctx context.Context, name string, lease *coordinationv1.Lease, err error, said string) string {
	level := slog.LevelWarn
	var reason string
	switch {
	case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err):
		return said // somebody was quicker; the next look says who
	case err != nil:
		reason = err.Error()
	case name == ClusterName:
		level, reason = slog.LevelDebug, "held by "+holder(lease)
	default:
		level, reason = slog.LevelInfo, "held by "+holder(lease)
	}
	if reason != said && l.cfg.Log != nil {
		l.cfg.Log.Log(ctx, level, "wait for a Lease", "action", mayastor.ActionWaiting, "outcome", "waiting", "lease", name, "reason", reason)
	}
	return reason
}

// claim writes us into the record as its next holder.
func (l *Ledger) claim(lease *coordinationv1.Lease) {
	now := metav1.NowMicro()
	transitions := int32(1)
	if lease.Spec.LeaseTransitions != nil {
		transitions = *lease.Spec.LeaseTransitions + 1
	}
	lease.Spec.HolderIdentity = &l.cfg.Holder
	lease.Spec.LeaseDurationSeconds = new(int32(max(1, l.cfg.Duration/time.Second)))
	lease.Spec.AcquireTime, lease.Spec.RenewTime = &now, &now
	lease.Spec.LeaseTransitions = &transitions
}

// observation judges by our own clock for how long a holder has been silent.
type observation struct {
	holder  string
	renewed metav1.MicroTime
	since   time.Time
}

// free reports whether the Lease has no holder, or one whose record did not
// change for the whole duration while we looked.
func (o *observation) free(lease *coordinationv1.Lease, duration time.Duration) bool {
	who := holder(lease)
	if who == "" {
		return true
	}
	var renewed metav1.MicroTime
	if lease.Spec.RenewTime != nil {
		renewed = *lease.Spec.RenewTime
	}
	if o.since.IsZero() || o.holder != who || !o.renewed.Equal(&renewed) {
		*o = observation{holder: who, renewed: renewed, since: time.Now()}
		return false
	}
	return time.Since(o.since) >= duration
}

func holder(lease *coordinationv1.Lease) string {
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// passing reports whether an error of the API server may go away by itself.
// What it refuses for good - forbidden, invalid, unauthorized - does not, and
// neither does what is called final.
func passing(err error) bool {
	if _, ok := errors.AsType[final](err); ok || err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	return !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) && !apierrors.IsUnauthorized(err) && !apierrors.IsBadRequest(err)
}

// patience is for calls of a migrator that is at work. An API server that has
// just started forbids what it will allow in a moment, as its authorizer has not
// read the roles yet (seen on 1.36): for the length of a Lease that is not
// believed.
type patience struct{ since time.Time }

// with reports whether to try once more after err.
func (p *patience) with(err error, cfg Config) bool {
	if passing(err) {
		return true
	}
	if !apierrors.IsForbidden(err) && !apierrors.IsUnauthorized(err) {
		return false
	}
	if p.since.IsZero() {
		p.since = time.Now()
	}
	return time.Since(p.since) < cfg.Duration
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

package leases

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/billyronks/couchestor/mayastor"
)

// lock is the Lease of one volume.
type lock struct {
	ledger  *Ledger
	volume  string
	held    *held
	journal *mayastor.Journal
	// place is the placement lock while it is held.
	place *held
}

var _ mayastor.Lock = (*lock)(nil)

func (l *lock) readJournal() error {
	text := l.held.annotation(journalAnnotation)
	if text == "" {
		return nil
	}
	l.journal = new(mayastor.Journal)
	return json.Unmarshal([]byte(text), l.journal)
}

func (l *lock) Journal() *mayastor.Journal { return l.journal }

func (l *lock) Write(ctx context.Context, j *mayastor.Journal) error {
	text, err := json.Marshal(j)
	if err != nil {
		return err
	}
	if l.place != nil {
		var cancel context.CancelFunc
		ctx, cancel = l.held.inTime(ctx)
		defer cancel()
	}
	err = l.held.write(ctx, func(a map[string]string) error {
		a[journalAnnotation] = string(text)
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the journal of volume %s: %w", l.volume, err)
	}
	return nil
}

// Guard implements [mayastor.Lock]: while the placement lock is held, both
// have to be.
func (l *lock) Guard(ctx context.Context) (context.Context, context.CancelFunc, error) {
	until, err := l.held.until()
	if err == nil && l.place != nil {
		var other time.Time
		if other, err = l.place.until(); other.Before(until) {
			until = other
		}
	}
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithDeadlineCause(ctx, until, fmt.Errorf("the lock of volume %s is not certain to be held any longer: %w", l.volume, mayastor.ErrLockLost))
	return ctx, cancel, nil
}

// pvName is the PersistentVolume of a volume (MS 6.2).
func (l *lock) pvName() string { return "pvc-" + l.volume }

func (l *lock) Memory(ctx context.Context) (mayastor.Attempt, error) {
	var a mayastor.Attempt
	err := l.ledger.persist(ctx, func() error {
		pv, err := l.ledger.cfg.Client.CoreV1().PersistentVolumes().Get(ctx, l.pvName(), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		text := pv.Annotations[mayastor.AttemptAnnotation]
		if text == "" {
			return nil
		}
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			return final{fmt.Errorf("annotation %s of PersistentVolume %s cannot be read (%w); mend or remove it", mayastor.AttemptAnnotation, pv.Name, err)}
		}
		return nil
	})
	return a, err
}

// Remember implements [mayastor.Lock]. A PersistentVolume that is gone has no
// use for a memory, unless the attempt is only beginning.
func (l *lock) Remember(ctx context.Context, a mayastor.Attempt, moved time.Time) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	annotations := map[string]string{mayastor.AttemptAnnotation: string(text)}
	if !moved.IsZero() {
		annotations[mayastor.LastMigrationAnnotation] = moved.UTC().Format(time.RFC3339)
	}
	patch, err := annotate(annotations)
	if err != nil {
		return err
	}
	err = l.ledger.persist(ctx, func() error {
		_, err := l.ledger.cfg.Client.CoreV1().PersistentVolumes().Patch(ctx, l.pvName(), types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
	if apierrors.IsNotFound(err) && a.State != mayastor.Started {
		return nil
	}
	return err
}

// Report implements [mayastor.Lock]. A result that is there already stays: it
// was written by who made the attempt and knows more than who repeats it from
// the volume's memory. A Job that is gone needs no result: the planner makes its
// history from the PersistentVolume then.
func (l *lock) Report(ctx context.Context, r mayastor.Result) error {
	if l.ledger.cfg.Job == "" {
		return nil
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	patch, err := annotate(map[string]string{mayastor.ResultAnnotation: string(text)})
	if err != nil {
		return err
	}
	jobs := l.ledger.cfg.Client.BatchV1().Jobs(l.ledger.cfg.Namespace)
	err = l.ledger.persist(ctx, func() error {
		job, err := jobs.Get(ctx, l.ledger.cfg.Job, metav1.GetOptions{})
		if err != nil {
			return err
		}
		var there mayastor.Result
		if json.Unmarshal([]byte(job.Annotations[mayastor.ResultAnnotation]), &there) == nil && there.N == r.N {
			return nil
		}
		_, err = jobs.Patch(ctx, job.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// annotate is a merge patch that sets annotations.
func annotate(annotations map[string]string) ([]byte, error) {
	return json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
}

// final is an error that asking again does not mend.
type final struct{ error }

func (f final) Unwrap() error { return f.error }

// persist tries for as long as the API server does not answer.
func (l *Ledger) persist(ctx context.Context, do func() error) error {
	var p patience
	said := ""
	for {
		err := do()
		if err == nil || apierrors.IsNotFound(err) || !p.with(err, l.cfg) {
			return err
		}
		if text := err.Error(); text != said && !apierrors.IsConflict(err) && l.cfg.Log != nil {
			said = text
			l.cfg.Log.WarnContext(ctx, "the API server did not do it; try again", "action", mayastor.ActionWaiting, "outcome", "waiting", "error", text)
		}
		if werr := wait(ctx, l.cfg.Duration/30); werr != nil {
			return fmt.Errorf("%w; last error: %w", werr, err)
		}
	}
}

// Release deletes the volume's Lease: no journal, no lock, nothing left.
func (l *lock) Release(ctx context.Context) error {
	if err := l.ledger.leave(ctx, l.volume); err != nil {
		return err
	}
	return l.held.remove(ctx)
}

// Abandon lets the Lease go with its journal, so that the next attempt takes
// it at once; if that cannot be said now, the Lease expires. One without a
// journal says nothing to anybody and is deleted.
func (l *lock) Abandon() { l.abandon(context.Background()) }

// abandon does so also when ctx has ended.
func (l *lock) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.ledger.cfg.Duration/12)
	defer cancel()
	letGo := l.held.free
	if l.held.annotation(journalAnnotation) == "" {
		letGo = l.held.remove
	}
	if err := letGo(ctx); err != nil && l.ledger.cfg.Log != nil {
		l.ledger.cfg.Log.WarnContext(ctx, "the lock of the volume stays until it expires", "action", mayastor.ActionWaiting, "outcome", "waiting", "error", err.Error())
	}
}

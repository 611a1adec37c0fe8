package leases

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/mayastor"
)

// entry is one running move in the cluster's Lease.
type entry struct {
	mayastor.Admission
	Holder string `json:"holder"`
}

// Admit implements [mayastor.Lock]: the caps are checked and the entry is made
// in one Update, so they hold among all that can see this Lease.
func (l *lock) Admit(ctx context.Context, a mayastor.Admission) error {
	return l.ledger.entries(ctx, func(running []entry) ([]entry, error) {
		running, err := l.ledger.alive(ctx, running)
		if err != nil {
			return nil, err
		}
		running = slices.DeleteFunc(running, func(e entry) bool { return e.Volume == a.Volume })
		moves := make([]mayastor.Admission, len(running))
		for i, e := range running {
			moves[i] = e.Admission
		}
		if err := a.Fits(moves); err != nil {
			return nil, final{err}
		}
		return append(running, entry{a, l.ledger.cfg.Holder}), nil
	})
}

// alive drops the entries of volumes nobody works on: whoever does has a
// Lease, and whoever died in a move left one with its journal.
func (l *Ledger) alive(ctx context.Context, running []entry) ([]entry, error) {
	var left []entry
	for _, e := range running {
		_, err := l.cfg.Client.CoordinationV1().Leases(l.cfg.Namespace).Get(ctx, VolumePrefix+e.Volume, metav1.GetOptions{})
		switch {
		case err == nil:
			left = append(left, e)
		case !apierrors.IsNotFound(err):
			return nil, err
		}
	}
	return left, nil
}

// leave takes a move out of the list.
func (l *Ledger) leave(ctx context.Context, volume string) error {
	return l.entries(ctx, func(running []entry) ([]entry, error) {
		return slices.DeleteFunc(running, func(e entry) bool { return e.Volume == volume }), nil
	})
}

// entries changes the list of running moves by one Update of the Lease as it
// was read; on a conflict it reads and decides again.
func (l *Ledger) entries(ctx context.Context, change func([]entry) ([]entry, error)) error {
	api := l.cfg.Client.CoordinationV1().Leases(l.cfg.Namespace)
	return l.persist(ctx, func() error {
		lease, err := api.Get(ctx, ClusterName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			if err = l.create(ctx, ClusterName); err == nil {
				lease, err = api.Get(ctx, ClusterName, metav1.GetOptions{})
			}
		}
		if err != nil {
			return err
		}
		var running []entry
		if text := lease.Annotations[admissionsAnnotation]; text != "" {
			if err := json.Unmarshal([]byte(text), &running); err != nil {
				return final{fmt.Errorf("annotation %s of Lease %s cannot be read (%w); while no move runs it may be removed", admissionsAnnotation, ClusterName, err)}
			}
		}
		before := len(running)
		running, err = change(running)
		if err != nil {
			return err
		}
		if before == 0 && len(running) == 0 {
			return nil
		}
		text, err := json.Marshal(running)
		if err != nil {
			return err
		}
		if lease.Annotations == nil {
			lease.Annotations = map[string]string{}
		}
		lease.Annotations[admissionsAnnotation] = string(text)
		_, err = api.Update(ctx, lease, metav1.UpdateOptions{})
		return err
	})
}

// placement is the cluster's Lease while we are its holder.
type placement struct {
	lock      *lock
	held      *held
	leftovers mayastor.Cordons
}

// Place implements [mayastor.Lock].
func (l *lock) Place(ctx context.Context) (mayastor.Placement, error) {
	h, err := l.ledger.take(ctx, ClusterName)
	if err != nil {
		return nil, fmt.Errorf("take the placement lock: %w", err)
	}
	p := &placement{lock: l, held: h}
	if text := h.annotation(cordonsAnnotation); text != "" {
		if err := json.Unmarshal([]byte(text), &p.leftovers); err != nil {
			_ = h.free(ctx)
			return nil, fmt.Errorf("annotation %s of Lease %s cannot be read (%w): it names cordons that may still be up; lift them and remove it", cordonsAnnotation, ClusterName, err)
		}
	}
	l.place = h
	return p, nil
}

func (p *placement) Leftovers() mayastor.Cordons { return p.leftovers }

func (p *placement) Record(ctx context.Context, c mayastor.Cordons) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if len(c.Pools)+len(c.Nodes) > 0 {
		var cancel context.CancelFunc
		ctx, cancel = p.held.inTime(ctx)
		defer cancel()
	}
	return p.held.write(ctx, func(a map[string]string) error {
		a[cordonsAnnotation] = string(text)
		return nil
	})
}

// Guard implements [mayastor.Placement]: until shortly before the Lease runs
// out nobody else can have taken it.
func (p *placement) Guard(ctx context.Context) (context.Context, context.CancelFunc, error) {
	until, err := p.held.certain(p.held.ledger.cfg.Duration * 11 / 12)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithDeadlineCause(ctx, until, fmt.Errorf("the placement lock is not certain to be held any longer: %w", mayastor.ErrLockLost))
	return ctx, cancel, nil
}

// Label differs between any two holders of the placement lock.
func (p *placement) Label() string {
	return fmt.Sprintf("%s%s-%d", mayastor.LabelPrefix, p.lock.volume[:8], p.held.transitions())
}

func (p *placement) Prefix() string { return mayastor.LabelPrefix }

func (p *placement) Release(ctx context.Context) error {
	p.lock.place = nil
	return p.held.free(ctx)
}

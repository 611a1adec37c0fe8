package moves

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/mayastor/leases"
)

// The rules of the ledger itself, on the real API server, without processes.

const someVolume = "9a12c8de-5f4b-4a36-9d0e-6a1f3c2b7d80"

// space is a namespace with Leases in it.
type space struct {
	t      *testing.T
	ctx    context.Context // ends with the test, or with its patience
	ns     string
	client kubernetes.Interface
}

func newSpace(t *testing.T) space {
	t.Helper()
	ns, err := suite.Namespace(t.Context(), "ledger")
	if err != nil {
		t.Fatal(err)
	}
	return spaceIn(t, ns)
}

func spaceIn(t *testing.T, ns string) space {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return space{t, ctx, ns, suite.Client}
}

func (s space) ledger(holder string) *leases.Ledger {
	s.t.Helper()
	l, err := leases.New(leases.Config{Client: s.client, Namespace: s.ns, Holder: holder, Duration: leaseDuration})
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

func (s space) lock(holder, volume string) mayastor.Lock {
	s.t.Helper()
	l, err := s.ledger(holder).Lock(s.ctx, volume)
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// edit changes a Lease behind everybody's back; a conflict is tried again.
func (s space) edit(name string, change func(*coordinationv1.Lease)) {
	s.t.Helper()
	api := s.client.CoordinationV1().Leases(s.ns)
	for {
		l, err := api.Get(s.ctx, name, metav1.GetOptions{})
		if err != nil {
			s.t.Fatal(err)
		}
		change(l)
		_, err = api.Update(s.ctx, l, metav1.UpdateOptions{})
		if err == nil {
			return
		}
		if !apierrors.IsConflict(err) {
			s.t.Fatal(err)
		}
	}
}

// put makes a volume's Lease that somebody holds, or nobody.
func (s space) put(holder string, renewed time.Time, annotations map[string]string) {
	s.t.Helper()
	at := metav1.NewMicroTime(renewed)
	var who *string
	if holder != "" {
		who = &holder
	}
	_, err := s.client.CoordinationV1().Leases(s.ns).Create(s.ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: leases.VolumePrefix + someVolume, Annotations: annotations},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: who, RenewTime: &at, LeaseTransitions: new(int32(4)), LeaseDurationSeconds: new(int32(3)),
		},
	}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestWhoWaitsForALockLearnsWhoHoldsIt(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "ledger: who waits for a lock learns who holds it, and has it once it is free")
	s := newSpace(t)
	first := s.lock("first", someVolume)
	ctx, cancel := context.WithTimeoutCause(s.ctx, leaseDuration+time.Second, errors.New("asked to stop"))
	defer cancel()
	if _, err := s.ledger("second").Lock(ctx, someVolume); err == nil || !strings.Contains(err.Error(), "held by first: asked to stop") {
		t.Errorf("got %v, want it to name the holder, whose Lease does not run out", err)
	}
	got := make(chan mayastor.Lock)
	go func() { got <- s.lock("second", someVolume) }()
	if err := first.Release(s.ctx); err != nil {
		t.Fatal(err)
	}
	(<-got).Abandon()
}

func TestExpiryIsJudgedByTheObserversClockAlone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		skew time.Duration
	}{
		{"an hour behind", -time.Hour},
		{"an hour ahead", time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			suite.Scenario(t, "ledger: a dead holder whose clock is "+c.name+" is waited for the whole duration, no longer")
			s := newSpace(t)
			s.put("dead", time.Now().Add(c.skew), map[string]string{
				"storage.billyronks.io/journal": `{"volume":"` + someVolume + `","replicas":3,"phase":"up"}`,
			})
			start := time.Now()
			l := s.lock("next", someVolume)
			defer l.Abandon()
			if waited := time.Since(start); waited < leaseDuration {
				t.Errorf("it was taken after %s, want the whole %s", waited, leaseDuration)
			}
			if j := l.Journal(); j == nil || j.Phase != mayastor.PhaseUp || j.N != 3 {
				t.Errorf("journal %+v, want the dead one's", j)
			}
		})
	}
}

func TestAHolderWhoseClockJumpsKeepsItsLockWhileItRenews(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "ledger: a holder whose clock jumps to and fro keeps its lock while it renews")
	s := newSpace(t)
	s.put("jumper", time.Now(), nil)
	ctx, cancel := context.WithTimeout(s.ctx, 3*leaseDuration)
	defer cancel()
	jumps := []time.Duration{-time.Hour, time.Hour, 0, -24 * time.Hour, 24 * time.Hour}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			at := metav1.NewMicroTime(time.Now().Add(jumps[i%len(jumps)]))
			s.edit(leases.VolumePrefix+someVolume, func(l *coordinationv1.Lease) { l.Spec.RenewTime = &at })
			await(ctx, leaseDuration/4)
		}
	})
	if _, err := s.ledger("next").Lock(ctx, someVolume); err == nil {
		t.Error("the lock of a holder that renews was taken")
	}
	wg.Wait()
}

func TestAJournalThatCannotBeReadKeepsTheVolumeLocked(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "ledger: a journal that cannot be read is kept, and nothing is done without it")
	s := newSpace(t)
	s.put("", time.Now(), map[string]string{"storage.billyronks.io/journal": `{"phase":`})
	_, err := s.ledger("next").Lock(s.ctx, someVolume)
	if err == nil || !strings.Contains(err.Error(), "nothing is done without it") {
		t.Errorf("got %v", err)
	}
	l, err := s.client.CoordinationV1().Leases(s.ns).Get(s.ctx, leases.VolumePrefix+someVolume, metav1.GetOptions{})
	if err != nil || l.Annotations["storage.billyronks.io/journal"] != `{"phase":` || l.Spec.HolderIdentity != nil && *l.Spec.HolderIdentity != "" {
		t.Errorf("the Lease is %+v, %v; want the journal kept and no holder", l, err)
	}
}

func TestALostLockGuardsNothing(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "ledger: a side effect is bounded by two thirds of a Lease, and a lost lock allows none")
	s := newSpace(t)
	l := s.lock("first", someVolume)
	defer l.Abandon()
	ctx, cancel, err := l.Guard(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	if until, ok := ctx.Deadline(); !ok || time.Until(until) > leaseDuration*2/3 {
		t.Errorf("a side effect may last until %s, want at most %s", until, leaseDuration*2/3)
	}
	if err := l.Write(s.ctx, &mayastor.Journal{Volume: someVolume}); err != nil {
		t.Fatal(err)
	}
	s.edit(leases.VolumePrefix+someVolume, func(l *coordinationv1.Lease) {
		l.Spec.HolderIdentity = new("thief")
		*l.Spec.LeaseTransitions++
	})
	if err := l.Write(s.ctx, &mayastor.Journal{Volume: someVolume}); !errors.Is(err, mayastor.ErrLockLost) {
		t.Errorf("write: %v, want lock lost", err)
	}
	if _, _, err := l.Guard(s.ctx); !errors.Is(err, mayastor.ErrLockLost) {
		t.Errorf("guard: %v, want lock lost", err)
	}
	if err := l.Release(s.ctx); err != nil {
		t.Errorf("release: %v", err)
	}
	got, err := s.client.CoordinationV1().Leases(s.ns).Get(s.ctx, leases.VolumePrefix+someVolume, metav1.GetOptions{})
	if err != nil || *got.Spec.HolderIdentity != "thief" {
		t.Errorf("the thief's Lease is %+v, %v; want it left alone", got, err)
	}
}

func TestCapsHoldInOneUpdate(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "ledger: ten race for two places, over and over, while a placement is recorded: never three, nothing lost")
	s := newSpace(t)
	placer := s.lock("placer", someVolume)
	defer placer.Abandon()
	place, err := placer.Place(s.ctx)
	if err != nil {
		t.Fatal(err)
	}
	var in, most, turned atomic.Int64
	together(10, func(i int) {
		volume := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		for range 3 {
			l := s.lock(fmt.Sprintf("holder-%d", i), volume)
			for {
				err := l.Admit(s.ctx, mayastor.Admission{Volume: volume, Caps: mayastor.Caps{Moves: 2}})
				if err == nil {
					break
				}
				turned.Add(1)
				if !errors.Is(err, mayastor.ErrNotAdmitted) {
					t.Errorf("admit: %v", err)
					return
				}
				await(s.ctx, 20*time.Millisecond)
			}
			now := in.Add(1)
			for old := most.Load(); now > old && !most.CompareAndSwap(old, now); old = most.Load() {
			}
			if now > 2 {
				t.Errorf("%d are in", now)
			}
			await(s.ctx, leaseDuration/20) // the others find no room
			if err := place.Record(s.ctx, mayastor.Cordons{Pools: []string{volume}}); err != nil {
				t.Errorf("record: %v", err)
			}
			in.Add(-1)
			if err := l.Release(s.ctx); err != nil {
				t.Errorf("release: %v", err)
			}
		}
	})
	if most.Load() != 2 || turned.Load() == 0 {
		t.Errorf("at most %d were in and %d were turned away; want 2, and some", most.Load(), turned.Load())
	}
	lease, err := s.client.CoordinationV1().Leases(s.ns).Get(s.ctx, leases.ClusterName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := lease.Annotations["storage.billyronks.io/admissions"]; got != "[]" {
		t.Errorf("admissions at the end: %s", got)
	}
	if got := lease.Annotations["storage.billyronks.io/cordons"]; !strings.Contains(got, "00000000-0000-4000-8000-") {
		t.Errorf("the record of cordons was lost: %s", got)
	}
	if err := place.Release(s.ctx); err != nil {
		t.Errorf("release the placement: %v", err)
	}
}

func TestALockThatLeavesNoJournalLeavesNothing(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "ledger: a lock that is given up without a journal leaves no Lease, one with a journal stays")
	s := newSpace(t)
	api := s.client.CoordinationV1().Leases(s.ns)
	l := s.lock("first", someVolume)
	l.Abandon()
	if got, err := api.Get(s.ctx, leases.VolumePrefix+someVolume, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a Lease is left: %+v, %v", got, err)
	}
	l = s.lock("second", someVolume)
	if err := l.Write(s.ctx, &mayastor.Journal{Volume: someVolume}); err != nil {
		t.Fatal(err)
	}
	l.Abandon()
	got, err := api.Get(s.ctx, leases.VolumePrefix+someVolume, metav1.GetOptions{})
	if err != nil || got.Annotations["storage.billyronks.io/journal"] == "" || got.Spec.HolderIdentity != nil {
		t.Errorf("%+v, %v; want the journal kept and no holder", got, err)
	}
	l = s.lock("third", someVolume)
	s.edit(leases.VolumePrefix+someVolume, func(l *coordinationv1.Lease) {
		l.Spec.HolderIdentity, l.Annotations = new("thief"), nil
		*l.Spec.LeaseTransitions++
	})
	l.Abandon()
	if got, err := api.Get(s.ctx, leases.VolumePrefix+someVolume, metav1.GetOptions{}); err != nil || *got.Spec.HolderIdentity != "thief" {
		t.Errorf("the thief's Lease is %+v, %v; want it left alone", got, err)
	}
}

func TestOnlyTheLivingCount(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "ledger: a place is kept for a move whose holder died, and given away once its Lease is gone")
	s := newSpace(t)
	volumes := []string{"00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"}
	ask := func(l mayastor.Lock, volume string) error {
		return l.Admit(s.ctx, mayastor.Admission{Volume: volume, ToPools: []string{"nvme-1"}, Caps: mayastor.Caps{Moves: 1}})
	}
	first, second := s.lock("first", volumes[0]), s.lock("second", volumes[1])
	defer second.Abandon()
	if err := ask(first, volumes[0]); err != nil {
		t.Fatal(err)
	}
	if err := ask(first, volumes[0]); err != nil {
		t.Errorf("asked again: %v, want it let in", err)
	}
	if err := first.Write(s.ctx, &mayastor.Journal{Volume: volumes[0]}); err != nil {
		t.Fatal(err)
	}
	first.Abandon()
	if err := ask(second, volumes[1]); !errors.Is(err, mayastor.ErrNotAdmitted) {
		t.Errorf("beside a move that is to be resumed: %v, want not admitted", err)
	}
	if err := s.client.CoordinationV1().Leases(s.ns).Delete(s.ctx, leases.VolumePrefix+volumes[0], metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := ask(second, volumes[1]); err != nil {
		t.Errorf("beside nobody: %v, want it let in", err)
	}
}

func TestRecordsThatCannotBeReadAreNamed(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "ledger: records in the cluster's Lease that cannot be read are named, with what to do")
	s := newSpace(t)
	l := s.lock("first", someVolume)
	defer l.Abandon()
	if err := l.Admit(s.ctx, mayastor.Admission{Volume: someVolume}); err != nil {
		t.Fatal(err)
	}
	s.edit(leases.ClusterName, func(l *coordinationv1.Lease) {
		l.Annotations = map[string]string{"storage.billyronks.io/admissions": "[", "storage.billyronks.io/cordons": "{"}
	})
	err := l.Admit(s.ctx, mayastor.Admission{Volume: someVolume})
	if err == nil || !strings.Contains(err.Error(), "while no move runs it may be removed") {
		t.Errorf("admit: %v", err)
	}
	_, err = l.Place(s.ctx)
	if err == nil || !strings.Contains(err.Error(), "lift them and remove it") {
		t.Errorf("place: %v", err)
	}
	lease, err := s.client.CoordinationV1().Leases(s.ns).Get(s.ctx, leases.ClusterName, metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != "" {
		t.Errorf("the placement lock is kept: %+v, %v", lease, err)
	}
}

func TestANamespaceThatIsNotThereIsNamed(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "ledger: a namespace that is not there is named, and not waited for")
	s := spaceIn(t, "nowhere")
	_, err := s.ledger("first").Lock(s.ctx, someVolume)
	if err == nil || !strings.Contains(err.Error(), "namespace nowhere, where the Leases of all migrators are, is not there; create it") {
		t.Errorf("got %v", err)
	}
}

func TestPlacementLabelsAreNeverUsedTwice(t *testing.T) {
	t.Parallel()
	suite.Scenario(t, "ledger: each holder of the placement lock has a node label of its own")
	s := newSpace(t)
	l := s.lock("first", someVolume)
	defer l.Abandon()
	var labels []string
	for range 3 {
		p, err := l.Place(s.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if label := p.Label(); !strings.HasPrefix(label, mayastor.LabelPrefix+someVolume[:8]) || slices.Contains(labels, label) {
			t.Errorf("label %s after %s", label, labels)
		}
		labels = append(labels, p.Label())
		if err := p.Release(s.ctx); err != nil {
			t.Fatal(err)
		}
	}
}

package tiering

import (
	"math"
	"testing"
)

func TestNeed(t *testing.T) {
	tests := []struct {
		name   string
		volume Volume
		want   int64
	}{
		{"thick needs its size", Volume{SizeBytes: 1000, AllocatedBytes: 10}, 1000},
		{"thin needs its allocation and 40 % of its size", Volume{Thin: true, SizeBytes: 1000, AllocatedBytes: 10}, 410},
		{"thin needs at most its size", Volume{Thin: true, SizeBytes: 1000, AllocatedBytes: 700}, 1000},
		{"thin and full needs its size", Volume{Thin: true, SizeBytes: 1000, AllocatedBytes: 1200}, 1000},
		{"thin of unknown allocation needs its size", Volume{Thin: true, SizeBytes: 1000}, 1000},
		{"thin of negative allocation needs its size", Volume{Thin: true, SizeBytes: 1000, AllocatedBytes: -5}, 1000},
		{"40 % of an odd size", Volume{Thin: true, SizeBytes: 1001, AllocatedBytes: 1}, 401},
		{"the largest size", Volume{Thin: true, SizeBytes: math.MaxInt64, AllocatedBytes: math.MaxInt64 - 1}, math.MaxInt64},
		{"unknown size", Volume{}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := need(&test.volume); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestReservationsDoNotOverflow(t *testing.T) {
	l := &ledger{reserved: []int64{math.MaxInt64 - 5}}
	l.reserve(0, 10)
	if l.reserved[0] != math.MaxInt64 {
		t.Errorf("got %d", l.reserved[0])
	}
	p := Pool{CapacityBytes: 1000, UsedBytes: math.MaxInt64}
	if got := l.room(&p, 0, 90); got != math.MinInt64 {
		t.Errorf("got room %d, want none at all", got)
	}
}

// job moves a volume of ten GiB to hot.
func job(pools ...string) volumeEdit {
	return live(LiveJob{Name: "j", Policy: "gold", From: Cold, To: Hot, TargetPools: pools})
}

func TestMovesInFlightReserveWhereTheyMayLand(t *testing.T) {
	nine := 10 * tib / 10 * 9
	room := func(left int64) inputEdit {
		return where(func(w *World) {
			for _, name := range []string{"hot-1", "hot-2", "hot-3"} {
				w.pool(name).UsedBytes = nine - left
			}
		})
	}
	many := limits(func(l *Limits) { l.MaxConcurrentMigrations = 25 })
	toHot1 := func(in *Input) {
		in.Route = func(*Volume, Tier, []string) Route { return Route{Replicas: 1, Landing: []string{"hot-1"}} }
	}
	tests := []struct {
		name  string
		other volumeEdit
		edits []inputEdit
		want  Gate
	}{
		{"room for both", job("hot-1"), inp(room(20 * gib)), NoGate},
		{"room for one", job("hot-1"), inp(room(19 * gib)), GateCapacity},
		{"room for one, elsewhere", job("hot-2"), inp(toHot1, room(10*gib)), NoGate},
		{"a Job that does not say reserves on all pools of its tier", job(), inp(toHot1, room(19*gib)), GateCapacity},
		{
			"a Job of another policy that does not say reserves by that policy's tiers",
			live(LiveJob{Policy: "other", To: Cold}),
			inp(toHot1, room(19*gib), rivalled(policy(t, "other", ranked(-1), func(s *StoragePolicySpec) {
				s.ColdPoolSelector, s.HotPoolSelector = selector("tier", "hot"), selector("tier", "cold")
			}))),
			GateCapacity,
		},
		{
			"a Job of another policy to the pools of another tier is not in the way",
			live(LiveJob{Policy: "other", To: Cold}),
			inp(toHot1, room(10*gib), rivalled(policy(t, "other", ranked(-1)))),
			NoGate,
		},
		{"a Job of a policy that is gone reserves everywhere", live(LiveJob{Policy: "gone", To: Hot}), inp(toHot1, room(19*gib)), GateCapacity},
		{"a recovery puts no replica anywhere", live(LiveJob{Policy: "gone", Recovery: true}), inp(toHot1, room(10*gib)), NoGate},
		{"a pool that nobody knows is not reserved on", job("ghost"), inp(toHot1, room(10*gib)), NoGate},
		{
			"a thick replica that is there already is in the pool's own figure",
			func(v *Volume) { on("hot-1", "cold-2")(v); job("hot-1", "hot-3")(v) }, inp(toHot1, room(10*gib)), NoGate,
		},
		{
			"a thin replica that is there already may still grow",
			func(v *Volume) { on("hot-1", "cold-2")(v); job("hot-1", "hot-3")(v); v.Thin = true }, inp(toHot1, room(19*gib)), GateCapacity,
		},
		{"a volume of unknown size in flight reserves nothing it could", func(v *Volume) { job("hot-1")(v); v.SizeBytes = 0 }, inp(toHot1, room(10*gib)), NoGate},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := decide(t, input(t, []Volume{volume("a", test.other), volume("b")}, append(test.edits, many)...))
			i, ok := p.Find("b")
			if !ok {
				t.Fatal("no decision for b")
			}
			if got := p.Decisions[i].Held.Gate; got != test.want {
				t.Errorf("held by %q (%s), want %q", got, p.Decisions[i].Held.Sentence(), test.want)
			}
		})
	}
}

func TestMovesOfOnePlanReserveForEachOther(t *testing.T) {
	nine := 10 * tib / 10 * 9
	for _, dry := range []bool{false, true} {
		in := input(t, []Volume{volume("a", score(9000)), volume("b", score(8000)), volume("c", score(7000))},
			where(func(w *World) {
				for _, name := range []string{"hot-1", "hot-2", "hot-3"} {
					w.pool(name).UsedBytes = nine - 25*gib
				}
			}),
			limits(func(l *Limits) { l.MaxConcurrentMigrations, l.DryRun = 25, dry }),
			func(in *Input) { in.Policy.Rules.MaxConcurrentMigrations = 25 })
		p := decide(t, in)
		act := Move
		if dry {
			act = WouldMove
		}
		for i, want := range []Act{act, act, Hold} {
			if got := p.Decisions[i]; got.Act != want {
				t.Errorf("dry run %v: %s: got %s, want %s", dry, got.Volume.Name, got.Act, want)
			}
		}
		if got := p.Decisions[2].Held.Gate; got != GateCapacity {
			t.Errorf("dry run %v: held by %q, want capacity", dry, got)
		}
	}
}

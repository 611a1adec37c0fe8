package mayastor_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/billyronks/couchestor/mayastor"
)

func TestWhichCapKeepsAMoveOut(t *testing.T) {
	t.Parallel()
	type admission = mayastor.Admission
	running := []admission{
		{Volume: "a", Bytes: 100, FromNodes: []string{"node-1", "node-1"}, ToPools: []string{"nvme-1", "nvme-2"}},
		{Volume: "b", Bytes: 50, FromNodes: []string{"node-2"}, ToPools: []string{"nvme-2"}},
	}
	fresh := admission{Volume: "c", Bytes: 10, FromNodes: []string{"node-1"}, ToPools: []string{"nvme-2"}}
	for _, tt := range []struct {
		name string
		move admission
		caps mayastor.Caps
		want mayastor.Cap // "" for none
		says string
	}{
		{"no caps", fresh, mayastor.Caps{}, "", ""},
		{"room for a third", fresh, mayastor.Caps{Moves: 3}, "", ""},
		{"no room for a third", fresh, mayastor.Caps{Moves: 2}, mayastor.CapMoves, "2 moves run and the cap is 2"},
		{"bytes just fit", fresh, mayastor.Caps{Bytes: 160}, "", ""},
		{"one byte too many", fresh, mayastor.Caps{Bytes: 159}, mayastor.CapBytes, "150 bytes are in flight, this move has 10 and the cap is 159"},
		{"a pool with room", fresh, mayastor.Caps{PerPool: 3}, "", ""},
		{"a pool without", fresh, mayastor.Caps{PerPool: 2}, mayastor.CapPerPool, "2 moves may land on pool nvme-2"},
		{"two replicas of one volume on a node are one move of it", fresh, mayastor.Caps{PerNode: 2}, "", ""},
		{"a node without room", fresh, mayastor.Caps{PerNode: 1}, mayastor.CapPerNode, "1 moves leave node node-1"},
		{"what is in stays, however the caps were lowered", running[0], mayastor.Caps{Moves: 1, Bytes: 1, PerPool: 1, PerNode: 1}, "", ""},
		{"and may shrink", admission{Volume: "a", Bytes: 50, FromNodes: []string{"node-1"}, ToPools: []string{"nvme-1"}}, mayastor.Caps{Moves: 1}, "", ""},
		{"but not grow", admission{Volume: "b", Bytes: 60, FromNodes: []string{"node-2"}, ToPools: []string{"nvme-2"}}, mayastor.Caps{Bytes: 150}, mayastor.CapBytes, "100 bytes are in flight, this move has 60"},
		{"nor load another pool", admission{Volume: "b", Bytes: 50, FromNodes: []string{"node-2"}, ToPools: []string{"nvme-1", "nvme-2"}}, mayastor.Caps{PerPool: 1}, mayastor.CapPerPool, "pool nvme-1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.move.Caps = tt.caps
			err := tt.move.Fits(running)
			full, ok := errors.AsType[*mayastor.FullError](err)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got %v, want that it fits", err)
			case tt.want != "" && (!ok || full.Cap != tt.want || !errors.Is(err, mayastor.ErrNotAdmitted) || !strings.Contains(err.Error(), tt.says)):
				t.Errorf("got %v, want %s: %s", err, tt.want, tt.says)
			}
		})
	}
	if err := (admission{Volume: "c", Bytes: 10, Caps: mayastor.Caps{Bytes: 1}}).Fits(nil); err != nil {
		t.Errorf("a move larger than the cap does not run alone: %v", err)
	}
}

func TestTheNarrowerOfTwoBoundsHolds(t *testing.T) {
	t.Parallel()
	a := mayastor.Caps{Moves: 2, Bytes: 0, PerPool: 3, PerNode: 0}
	b := mayastor.Caps{Moves: 4, Bytes: 100, PerPool: 1, PerNode: 0}
	if got, want := a.Within(b), (mayastor.Caps{Moves: 2, Bytes: 100, PerPool: 1}); got != want || b.Within(a) != want {
		t.Errorf("got %+v and %+v, want %+v", got, b.Within(a), want)
	}
}

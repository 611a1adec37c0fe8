package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/billyronks/couchestor/mayastor"
)

func TestAMoveThatWaitedPastItsWindowDoesNotBegin(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		o := migrateOptions{startBy: begin.Add(time.Minute).UTC().Format(time.RFC3339)}
		var m mayastor.Migrator
		o.mind(&m)
		for _, tt := range []struct {
			after time.Duration
			begun bool
			want  bool
		}{
			{59 * time.Second, false, false},
			{61 * time.Second, false, true},
			{62 * time.Second, true, false},
		} {
			time.Sleep(time.Until(begin.Add(tt.after)))
			e := m.Stop(t.Context(), tt.begun)
			if got := e != nil && e.State == mayastor.Refused && e.Reason == reasonWindowClosed; got != tt.want {
				t.Errorf("after %s, begun %t: %+v, want refused %t", tt.after, tt.begun, e, tt.want)
			}
		}
		recovery := migrateOptions{startBy: o.startBy, recoverOnly: true}
		var r mayastor.Migrator
		if recovery.mind(&r); r.Stop != nil {
			t.Error("a recovery minds a window")
		}
	})
}

package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// Replay posts the very request of a sync again and touches nothing. The same
// request must get the same bytes.
func (d *Driver) Replay(ctx context.Context, s *Sync) error {
	if !s.Called {
		return errors.New("replay: the sync called no hook")
	}
	hook, name := d.controller.spec.Hooks.Sync, "sync"
	if s.Finalizing {
		hook, name = d.controller.spec.Hooks.Finalize, "finalize"
	}
	again, err := d.post(ctx, hook, name, s.Request)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if !bytes.Equal(again, s.Response) {
		return fmt.Errorf("replay: the same request got another answer\nfirst:  %s\nsecond: %s", s.Response, again)
	}
	return nil
}

// Fixpoint syncs the parent until a sync changes neither children nor status,
// at most so many times, and then once more: the second of two identical calls
// must change nothing and get the same bytes (MC 9.3). It returns how many
// syncs it took to get there.
func (d *Driver) Fixpoint(ctx context.Context, parent string, most int) (int, error) {
	for n := range most {
		s, err := d.SyncOnce(ctx, parent)
		if err != nil {
			return n, fmt.Errorf("sync %d of %s: %w", n+1, parent, err)
		}
		if s.Changed() {
			continue
		}
		if !s.Called {
			return n, nil
		}
		if err := d.Replay(ctx, s); err != nil {
			return n, err
		}
		again, err := d.SyncOnce(ctx, parent)
		if err != nil {
			return n, fmt.Errorf("sync of %s at its fixpoint: %w", parent, err)
		}
		if again.Changed() {
			return n, fmt.Errorf("no fixpoint: after a sync of %s that changed nothing the next created %v, deleted %v, wrote status: %t",
				parent, again.Created, again.Deleted, again.StatusWritten)
		}
		return n, nil
	}
	return most, fmt.Errorf("no fixpoint: %s still changes after %d syncs", parent, most)
}

package mayastor

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// statusCompleted is that of a rebuild that ran to its end (MS 2.7).
const statusCompleted Status = "Completed"

// crossCheck asks the server's own record of rebuilds about the new replica
// before an old one is given up for it (MS 5.4.7). What it says can only hold the
// step back: a record that is missing, as after a switch-over of the target or on
// a server without one, leaves the proof as it was made, and a doubt as it was
// raised: only a rebuild that completes clears that. A move that has to end gives
// the new replica up, since the old ones are in sync beyond doubt.
func (r *run) crossCheck(ctx context.Context, ending bool) error {
	if r.j.New.UUID == "" || r.j.Victim.UUID == r.j.New.UUID {
		return nil
	}
	was := r.j.Doubt
	// Evidence, not truth: an error says as little as no record.
	if records, err := r.Client.RebuildHistory(ctx, r.j.Volume); err == nil {
		switch state, told := lastRebuild(records, r.j.New.UUID); {
		case told && state == statusCompleted:
			r.j.Doubt = Doubt{}
		case told:
			r.j.Doubt = Doubt{Replica: r.j.New.UUID, Record: state}
		}
	}
	if r.j.Doubt != was {
		if err := r.lock.Write(ctx, r.j); err != nil {
			return err
		}
	}
	if !r.j.doubted() {
		return nil
	}
	if !ending {
		return retry{fmt.Errorf("the replica on pool %s looks in sync, and the server's record of its last rebuild says %s; wait for one that completes", r.j.New.Pool, r.j.Doubt.Record)}
	}
	r.j.end(Failed, ReasonRebuildFailed, fmt.Sprintf("the new replica on pool %s looked in sync, and the server's record of its last rebuild says %s, so the new one was given up", r.j.New.Pool, r.j.Doubt.Record))
	r.j.Victim = r.j.New
	return nil
}

// Doubt is what the server's record of rebuilds said against a replica that
// looked in sync.
type Doubt struct {
	Replica string `json:"replica"`
	// Record is how its last rebuild ended.
	Record Status `json:"record"`
}

// doubted reports whether there is a doubt about the step's new replica.
func (j *Journal) doubted() bool {
	return j.New.UUID != "" && j.Doubt.Replica == j.New.UUID
}

// lastRebuild is how the replica's last rebuild ended; told is false if there
// is no record of one. Where the records cannot be put in order, one that
// completed counts as the last.
func lastRebuild(records []RebuildRecord, replica string) (state Status, told bool) {
	var last time.Time
	ordered := true
	for _, x := range records {
		if !strings.Contains(x.ChildURI, replica) {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, x.EndTime)
		ordered = ordered && err == nil
		switch {
		case !told, ordered && !at.Before(last), !ordered && x.State == statusCompleted:
			state, last = x.State, at
		}
		told = true
	}
	return state, told
}

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
// a server without one, leaves the proof as it was made. A move that has to end
// gives the new replica up, since the old ones are in sync beyond doubt.
func (r *run) crossCheck(ctx context.Context, ending bool) error {
	if r.j.New.UUID == "" || r.j.Victim.UUID == r.j.New.UUID {
		return nil
	}
	records, err := r.Client.RebuildHistory(ctx, r.j.Volume)
	if err != nil {
		return nil //nolint:nilerr // evidence, not truth: without it the two looks stand
	}
	state, told := lastRebuild(records, r.j.New.UUID)
	if !told || state == statusCompleted {
		return nil
	}
	r.j.Doubt = Doubt{Replica: r.j.New.UUID, Record: state}
	if !ending {
		return retry{fmt.Errorf("the replica on pool %s looks in sync, and the server's record of its last rebuild says %s; wait for one that completes", r.j.New.Pool, state)}
	}
	r.j.doubted()
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

// doubted ends the move if there is a doubt about its new replica.
func (j *Journal) doubted() {
	if j.New.UUID != "" && j.Doubt.Replica == j.New.UUID {
		j.end(Failed, ReasonRebuildFailed, fmt.Sprintf("the new replica on pool %s looked in sync, and the server's record of its last rebuild says %s, so the new one was given up", j.New.Pool, j.Doubt.Record))
	}
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

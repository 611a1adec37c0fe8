package hooks

import (
	"context"
	"time"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// Sources answer from memory what the world looks like. A source that finds
// its reading too old refreshes it first and waits for that a few seconds at
// most, and no longer than until ctx ends: with one that has ended, it returns what
// it has. What it returns is shared and must not be changed. All methods may be
// called at once.
type Sources interface {
	// Scores of all volumes over the window.
	Scores(ctx context.Context, window time.Duration) tiering.Scores
	// Mayastor is the control plane.
	Mayastor(ctx context.Context) Mayastor
}

// Cluster is Kubernetes as the service's own readers see it.
type Cluster interface {
	// View returns the newest view, nil until each kind of object was listed
	// once; the source says what is missing. After that there always is one. While
	// the source is not OK it may be of any age: Jobs stay by it, and nothing new
	// starts. It may be called at once, and waits for nobody.
	View() (*View, tiering.Source)
}

// Mayastor is one reading of the control plane.
type Mayastor struct {
	// Source is OK while the reading is fresh enough to act on.
	Source tiering.Source
	// Inventory is the last good reading, also when it is too old to act on;
	// nil if there never was one.
	Inventory *mayastor.Inventory
}

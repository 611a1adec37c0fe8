package program

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// Dir returns an empty directory for all files of a run of the command: one in keep,
// or a temporary one if that is empty.
func Dir(keep, command string) (string, error) {
	if keep == "" {
		return os.MkdirTemp("", "couchestor-"+command+"-")
	}
	// A directory of its own, so that an earlier run's journals are not met.
	if err := os.MkdirAll(keep, 0o755); err != nil {
		return "", fmt.Errorf("--keep: %w", err)
	}
	return os.MkdirTemp(keep, time.Now().Format("2006-01-02-150405-"))
}

// Ends are how to end what was started.
type Ends struct{ ends []func() error }

// AtEnd has end called by TearDown.
func (e *Ends) AtEnd(end func() error) { e.ends = append(e.ends, end) }

// TearDown ends everything, last come first.
func (e *Ends) TearDown() error {
	var faults []error
	for len(e.ends) > 0 {
		end := e.ends[len(e.ends)-1]
		e.ends = e.ends[:len(e.ends)-1]
		faults = append(faults, end())
	}
	return errors.Join(faults...)
}

package mayastor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// DirLedger is a [Ledger] in a local directory, for use by hand and for tests:
// it protects from other migrators with the same directory on the same host,
// and from nobody else. Locks are flock(2), so that they end with their
// process however it ends. The files, each replaced atomically:
//
//	volume-<uuid>.lock            held while a migrator works on the volume
//	volume-<uuid>.journal         [Journal]; absent when clean
//	volume-<uuid>.attempt         [Attempt], the memory of the volume
//	volume-<uuid>.last-migration  RFC 3339 time
//	volume-<uuid>.result          [Result] of the last attempt
//	cluster.lock, cluster.json    the moves that run, as []Admission
//	place.lock, place.json        the placement lock and its record
type DirLedger struct {
	dir string
	// retry is how long to wait before a lock that is held is tried again.
	retry time.Duration
}

var uuidPattern = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// IsUUID reports whether the text can be the uuid of a volume.
func IsUUID(volume string) bool { return uuidPattern.MatchString(volume) }

// NewDirLedger returns the ledger in dir, which is made if it is absent.
func NewDirLedger(dir string) (*DirLedger, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make ledger directory: %w", err)
	}
	return &DirLedger{dir: dir, retry: 100 * time.Millisecond}, nil
}

func (d *DirLedger) path(name string) string { return filepath.Join(d.dir, name) }

// Lock implements [Ledger].
func (d *DirLedger) Lock(ctx context.Context, volume string) (Lock, error) {
	if !IsUUID(volume) {
		return nil, fmt.Errorf("%q is not the uuid of a volume: it must look like 9a12c8de-5f4b-4a36-9d0e-6a1f3c2b7d80", volume)
	}
	name := "volume-" + volume
	f, err := d.flock(ctx, name+".lock")
	if err != nil {
		return nil, fmt.Errorf("lock volume %s: %w", volume, err)
	}
	l := &dirLock{d: d, volume: volume, name: name, file: f}
	var j Journal
	switch err := readJSON(d.path(name+".journal"), &j); {
	case err == nil:
		l.journal = &j
	case !errors.Is(err, fs.ErrNotExist):
		l.Abandon()
		return nil, fmt.Errorf("read the journal of volume %s: %w; it says what an earlier attempt left behind, so nothing is done without it", volume, err)
	}
	return l, nil
}

// flock takes an exclusive lock on a file of the directory.
func (d *DirLedger) flock(ctx context.Context, name string) (*os.File, error) {
	f, err := os.OpenFile(d.path(name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(fmt.Errorf("flock %s: %w", name, err), f.Close())
		}
		if err := sleep(ctx, d.retry); err != nil {
			return nil, errors.Join(fmt.Errorf("%s is held by another process: %w", name, err), f.Close())
		}
	}
}

// held reports whether another process holds the lock of the volume.
func (d *DirLedger) held(volume string) bool {
	f, err := os.OpenFile(d.path("volume-"+volume+".lock"), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil
}

// dirLock is the lock of one volume.
type dirLock struct {
	d       *DirLedger
	volume  string
	name    string
	file    *os.File
	journal *Journal
}

func (l *dirLock) Journal() *Journal { return l.journal }

func (l *dirLock) Write(_ context.Context, j *Journal) error {
	if l.file == nil {
		return fmt.Errorf("write the journal of volume %s: %w", l.volume, ErrLockLost)
	}
	return writeJSON(l.d.path(l.name+".journal"), j)
}

// Guard implements [Lock]: flock is held for as long as the process lives.
func (l *dirLock) Guard(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if l.file == nil {
		return nil, nil, ErrLockLost
	}
	ctx, cancel := context.WithCancel(ctx)
	return ctx, cancel, nil
}

func (l *dirLock) Memory(context.Context) (Attempt, error) {
	var a Attempt
	err := readJSON(l.d.path(l.name+".attempt"), &a)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return a, err
}

func (l *dirLock) Remember(_ context.Context, a Attempt, moved time.Time) error {
	if !moved.IsZero() {
		text := []byte(moved.UTC().Format(time.RFC3339) + "\n")
		if err := replace(l.d.path(l.name+".last-migration"), text); err != nil {
			return err
		}
	}
	return writeJSON(l.d.path(l.name+".attempt"), a)
}

func (l *dirLock) Report(_ context.Context, r Result) error {
	return writeJSON(l.d.path(l.name+".result"), r)
}

func (l *dirLock) Admit(ctx context.Context, a Admission) error {
	return l.d.admissions(ctx, func(running []Admission) ([]Admission, error) {
		if err := a.Fits(running); err != nil {
			return nil, err
		}
		running = slices.DeleteFunc(running, func(r Admission) bool { return r.Volume == a.Volume })
		return append(running, a), nil
	})
}

// admissions changes the list of moves that run, under its lock. Entries whose
// process is gone and that left no journal are dropped first.
func (d *DirLedger) admissions(ctx context.Context, change func([]Admission) ([]Admission, error)) error {
	f, err := d.flock(ctx, "cluster.lock")
	if err != nil {
		return err
	}
	defer f.Close()
	var running []Admission
	if err := readJSON(d.path("cluster.json"), &running); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	running = slices.DeleteFunc(running, func(r Admission) bool {
		_, err := os.Stat(d.path("volume-" + r.Volume + ".journal"))
		return errors.Is(err, fs.ErrNotExist) && !d.held(r.Volume)
	})
	running, err = change(running)
	if err != nil {
		return err
	}
	return writeJSON(d.path("cluster.json"), running)
}

func (l *dirLock) Place(ctx context.Context) (Placement, error) {
	f, err := l.d.flock(ctx, "place.lock")
	if err != nil {
		return nil, fmt.Errorf("take the placement lock: %w", err)
	}
	p := &dirPlacement{d: l.d, file: f, label: LocalLabelPrefix + l.volume[:8]}
	if err := readJSON(l.d.path("place.json"), &p.leftovers); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("read the record of cordons: %w", err), f.Close())
	}
	return p, nil
}

func (l *dirLock) Release(ctx context.Context) error {
	err := l.d.admissions(ctx, func(running []Admission) ([]Admission, error) {
		return slices.DeleteFunc(running, func(r Admission) bool { return r.Volume == l.volume }), nil
	})
	if err != nil {
		return err
	}
	if err := os.Remove(l.d.path(l.name + ".journal")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.Abandon()
	return nil
}

func (l *dirLock) Abandon() {
	if l.file != nil {
		_ = l.file.Close() // closing ends the flock; there is nothing to flush
		l.file = nil
	}
}

// dirPlacement is the placement lock.
type dirPlacement struct {
	d         *DirLedger
	file      *os.File
	label     string
	leftovers Cordons
}

func (p *dirPlacement) Leftovers() Cordons { return p.leftovers }

func (p *dirPlacement) Record(_ context.Context, c Cordons) error {
	return writeJSON(p.d.path("place.json"), c)
}

func (p *dirPlacement) Label() string { return p.label }

func (p *dirPlacement) Prefix() string { return LocalLabelPrefix }

// Guard implements [Placement]: flock is held for as long as the process lives.
func (p *dirPlacement) Guard(ctx context.Context) (context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithCancel(ctx)
	return ctx, cancel, nil
}

func (p *dirPlacement) Release(context.Context) error { return p.file.Close() }

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return replace(path, append(data, '\n'))
}

// replace writes a file so that after a crash it has either its old or its new
// content, durably.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))+".*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// sleep waits for d or until ctx ends, whose cause it returns then.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

package watchloop

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// Loop is the watch loop of a control plane. A program that ends by itself is
// started again, as its StatefulSet would. Its methods may be called at once.
type Loop struct {
	Program

	rig        *rig.Rig
	kubeconfig string

	mu      sync.Mutex
	life    *life // nil while it is stopped
	crashes int
}

// life is from a start to a stop.
type life struct {
	process *rig.Process
	end     chan struct{} // closed by who stops it
	ended   sync.WaitGroup
}

// restartIn is how long a program that ended by itself stays down.
const restartIn = time.Second

// Start starts the program as service account metacontroller/metacontroller, which
// [Install] has made. It returns at once: what comes of it shows in the cluster.
func Start(ctx context.Context, r *rig.Rig, p Program) (*Loop, error) {
	cfg, err := r.ServiceAccount(ctx, namespace, account)
	if err != nil {
		return nil, err
	}
	l := &Loop{Program: p, rig: r, kubeconfig: filepath.Join(r.Dir, "metacontroller.kubeconfig")}
	if err := rig.WriteKubeconfig(l.kubeconfig, cfg); err != nil {
		return nil, err
	}
	return l, l.Start()
}

// Start starts the program again after [Loop.Stop] or [Loop.Kill].
func (l *Loop) Start() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.life != nil {
		return errors.New("the watch loop runs already")
	}
	process, err := l.process()
	if err != nil {
		return err
	}
	l.life = &life{process: process, end: make(chan struct{})}
	life := l.life
	life.ended.Go(func() { l.keep(life) })
	return nil
}

func (l *Loop) process() (*rig.Process, error) {
	return rig.Command{
		Name: "watchloop", Path: l.Path, Log: l.Log(), Env: []string{"HOME=" + l.rig.Dir},
		Args: append([]string{
			"--kubeconfig=" + l.kubeconfig,
			"--discovery-interval=1s", "--client-go-qps=200", "--client-go-burst=400",
			"--metrics-address=0", "--health-probe-bind-address=0",
		}, l.args...),
	}.Start()
}

// keep starts the program again when it ends, until the life ends.
func (l *Loop) keep(life *life) {
	for {
		l.mu.Lock()
		process := life.process
		l.mu.Unlock()
		select {
		case <-process.Done():
		case <-life.end:
			return
		}
		pause := time.NewTimer(restartIn)
		select {
		case <-pause.C:
		case <-life.end:
			pause.Stop()
			return
		}
		next, err := l.process()
		l.mu.Lock()
		l.crashes++
		if err == nil {
			life.process = next
		}
		l.mu.Unlock()
	}
}

// Stop asks the program to end, as a node does that is drained, and kills it after
// grace.
func (l *Loop) Stop(grace time.Duration) { l.finish(func(p *rig.Process) { p.Stop(grace) }) }

// Kill ends the program at once.
func (l *Loop) Kill() { l.finish((*rig.Process).Kill) }

func (l *Loop) finish(by func(*rig.Process)) {
	l.mu.Lock()
	life := l.life
	l.life = nil
	l.mu.Unlock()
	if life == nil {
		return
	}
	close(life.end)
	life.ended.Wait()
	by(life.process)
}

// Crashes is how often the program ended by itself.
func (l *Loop) Crashes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.crashes
}

// Log is the file that has what the program said, all its lives.
func (l *Loop) Log() string {
	return l.rig.LogFile(strings.ReplaceAll(strings.ToLower(l.Name), " ", "-"))
}

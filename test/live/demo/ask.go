package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed what-if.yaml
var whatIf []byte

// toDo is the exit status of plan when moves would start.
const toDo = 3

// askWhy: what is decided can be asked for, and what would be.
func (s *stage) askWhy(ctx context.Context) error {
	s.voice.heading("Act 4. Ask it why",
		fmt.Sprintf("The service is asked why %s stays where it is although it is busy. Then a policy is tried out that is only written down: logs, with a high watermark of 2400 IOPS. Nothing is applied, and nothing moves.", pinned))
	if err := s.requests.save(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, "what-if.yaml"), whatIf, 0o644); err != nil {
		return err
	}
	if err := s.writeEnvironment(); err != nil {
		return err
	}
	jobs := len(s.kubelet.started())
	text, code, err := s.ask(ctx, "explain", pinned, "--server", "http://"+s.service.Ops)
	if err != nil {
		return err
	}
	s.evidence.explained = code == 0 && strings.Contains(text, "PinnedTopology")
	s.voice.line("")
	text, code, err = s.ask(ctx, "plan", "-f", "what-if.yaml", "--request", filepath.Join("requests", "logs.json"))
	if err != nil {
		return err
	}
	s.evidence.planned = code == toDo && strings.Contains(text, "search/this-week-5  warm") && len(s.kubelet.started()) == jobs
	return nil
}

// ask runs the program as a user would, in the directory of the play, and shows
// what it prints.
func (s *stage) ask(ctx context.Context, args ...string) (string, int, error) {
	s.voice.line("  %s", s.voice.paint(bold, "$ couchestor "+strings.Join(args, " ")))
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), append(s.environment(), fmt.Sprintf("COLUMNS=%d", width-2))...)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	err := cmd.Run()
	exit := (*exec.ExitError)(nil)
	if err != nil && !errors.As(err, &exit) {
		return "", 0, fmt.Errorf("run %s: %w", args[0], err)
	}
	for line := range strings.Lines(out.String() + talk.String()) {
		s.voice.line("  %s", strings.TrimRight(line, "\n"))
	}
	return out.String(), cmd.ProcessState.ExitCode(), nil
}

// environment says to commands what the service was told by flags.
func (s *stage) environment() []string {
	return []string{
		"PROMETHEUS_URL=" + s.prometheus.URL(), "MAYASTOR_URL=" + s.mayastorURL,
		"COUCHESTOR_PROMETHEUS_TIMEOUT=" + prometheusTimeout.String(), "COUCHESTOR_SCRAPE_INTERVAL=" + coverageSlot.String(),
		"COUCHESTOR_MIN_COOLDOWN_PERIOD=1s", fmt.Sprintf("COUCHESTOR_MAX_CONCURRENT_MIGRATIONS=%d", atOnce),
		"COUCHESTOR_REBUILD_RATE=160MiB/s",
	}
}

// writeEnvironment writes it to a file for a shell.
func (s *stage) writeEnvironment() error {
	text := "export " + strings.Join(s.environment(), "\nexport ") + "\n"
	return os.WriteFile(filepath.Join(s.dir, "env"), []byte(text), 0o644)
}

// linger leaves everything running until ctx ends, for whoever wants to ask on.
func (s *stage) linger(ctx context.Context) error {
	if err := s.requests.save(); err != nil {
		return err
	}
	s.voice.line("Everything runs on until Ctrl-C. In another shell:")
	for _, line := range []string{
		"cd " + s.dir + " && . ./env",
		"couchestor plan --server http://" + s.service.Ops,
		"couchestor explain " + pinned + " --server http://" + s.service.Ops,
		"couchestor plan -f what-if.yaml --request requests/logs.json",
	} {
		s.voice.line("  %s", line)
	}
	s.lingered = true
	<-ctx.Done()
	return nil
}

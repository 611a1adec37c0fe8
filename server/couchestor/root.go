package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// run is the whole program but for the environment, which the flags fall back
// on. It returns the exit status. Commands that live long listen to signals
// themselves, and to the end of ctx.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand(stdout, stderr)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	// What goes wrong before a command begins is a matter of how it was asked.
	begun := false
	root.PersistentPreRun = func(*cobra.Command, []string) { begun = true }

	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	status := 1
	if !begun {
		status = exitUsage
	}
	if exit, ok := errors.AsType[exitError](err); ok {
		status = exit.code
	}
	if errors.Is(err, errQuiet) {
		return status
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(stderr, "couchestor: %s\n", line)
	}
	if status == exitUsage {
		fmt.Fprintf(stderr, "%s --help says more.\n", command.CommandPath())
	}
	return status
}

func newRootCommand(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "couchestor",
		Short: "Keep each OpenEBS Mayastor volume on the right tier",
		Long: `CoucheStor keeps each OpenEBS Mayastor volume on the right storage tier.

A StoragePolicy says which volumes belong on fast pools and which on large ones.
Prometheus says how busy each volume is. The service, "couchestor serve", is asked
by Metacontroller what should exist and answers with Jobs. Each Job moves one
volume, online, through Mayastor's REST API.

Flags may be given in the environment: --cache-ttl as COUCHESTOR_CACHE_TTL. What
is on the command line wins.`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(
		newServeCommand(),
		newPlanCommand(),
		newExplainCommand(),
		newReportCommand(),
		onMayastor(newMigrateCommand(stdout, stderr)),
		newVersionCommand(),
	)
	return root
}

// onMayastor lets the environment say how a command reaches Mayastor, and
// nothing else: what is to be moved is said on the command line alone.
func onMayastor(cmd *cobra.Command) *cobra.Command {
	env := settings{
		plain: map[string]string{"mayastor-url": "MAYASTOR_URL"},
		only:  func(flag string) bool { return strings.HasPrefix(flag, "mayastor-") },
	}
	env.adopt(cmd)
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := env.read(cmd); err != nil {
			return exitError{code: exitUsage, err: err}
		}
		return nil
	}
	return cmd
}

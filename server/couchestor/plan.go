package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/billyronks/couchestor/server/explain"
	"github.com/billyronks/couchestor/tiering"
)

// The exit status of plan, beside 0 for nothing to do, 1 and 2.
const (
	// exitToDo: a move or a recovery would start now.
	exitToDo = 3
	// exitBlind: nothing would start, and since a source is down or a policy has
	// faults that says little.
	exitBlind = 4
)

// errQuiet ends a command whose output says it all.
var errQuiet = errors.New("")

func newPlanCommand() *cobra.Command {
	o := newPreviewOptions()
	cmd := &cobra.Command{
		Use:   "plan [POLICY...] [-f FILE]",
		Short: "Show what would be moved, and why",
		Long: `Show what would be moved, and why.

Decides on StoragePolicies as the service does, by the same code and on the same
sources, and prints it: how each source is, where each volume belongs and what holds
it, the moves in their order with pools, bytes and expected time, and how full the
tiers are now and after. It starts nothing and changes nothing.

Policies are those named, those of --filename as if they were applied, or all there
are. All that are there count as rivals of each other. The objects of Kubernetes come
from --request, a saved request of Metacontroller, or from the cluster of a kubeconfig,
which is only read; the ConfigMap couchestor-governance there counts, too. With --server
a running service is asked what it decided last, and nothing else is read.

Exit status:
  0  nothing to do
  1  it failed
  2  it was asked wrongly
  3  moves or recoveries would start now (in dry run: would if it ended)
  4  nothing would start, but a source is down or a policy has faults`,
		Example: `  # What would a new policy do? Nothing is applied.
  couchestor plan -f policy.yaml

  # What is about to happen, and why not more?
  couchestor plan databases -o wide

  # The same by the eyes of the service: what it decided last.
  kubectl -n couchestor-system port-forward deploy/couchestor 8081 &
  couchestor plan databases --server http://localhost:8081

  # In a script: is there anything to do?
  couchestor plan -o json > plan.json; test $? -eq 3 && jq .policies[].moves plan.json`,
		ValidArgsFunction: o.completePolicies,
	}
	o.bind(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.validate(cmd); err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
		defer stop()
		plans, err := o.plans(ctx, cmd, args)
		if err != nil {
			return err
		}
		all := struct {
			Policies []tiering.Explanation `json:"policies"`
		}{plans}
		err = o.print(cmd.OutOrStdout(), all, func(w io.Writer, s explain.Style) {
			for i := range plans {
				if i > 0 {
					fmt.Fprintln(w)
				}
				explain.Policy(w, &plans[i], s)
			}
		})
		if err != nil {
			return err
		}
		fmt.Fprintln(cmd.ErrOrStderr(), "Nothing was started, and nothing was changed.")
		return planned(plans)
	}
	return cmd
}

// plans makes the explanations of the policies that are asked for.
func (o *previewOptions) plans(ctx context.Context, cmd *cobra.Command, names []string) ([]tiering.Explanation, error) {
	if o.server != "" {
		return o.serverPlans(ctx, cmd, names)
	}
	p, err := o.open(ctx, cmd)
	if err != nil {
		return nil, err
	}
	defer p.close()
	plans, err := p.plans(ctx, names)
	if err == nil && len(plans) == 0 {
		err = errors.New("there is no StoragePolicy; give one with --filename")
	}
	return plans, err
}

// plans makes the explanations of the policies that are named, else of those that
// are written, else of all there are.
func (p *preview) plans(ctx context.Context, names []string) ([]tiering.Explanation, error) {
	switch {
	case len(names) > 0:
		for _, name := range names {
			if err := p.find(name); err != nil {
				return nil, err
			}
		}
	case len(p.written) > 0:
		names = p.written
	default:
		names = p.objects.Policies()
	}
	plans := make([]tiering.Explanation, 0, len(names))
	for _, name := range names {
		d, err := p.decide(ctx, name)
		if err != nil {
			return nil, err
		}
		plans = append(plans, p.explain(name, d))
	}
	return plans, nil
}

// planned is the exit status that says what there is to do.
func planned(plans []tiering.Explanation) error {
	code := 0
	for i := range plans {
		e := &plans[i]
		if e.Counts.Moves+e.Counts.Recover > 0 {
			return exitError{code: exitToDo, err: errQuiet}
		}
		if e.Phase == tiering.PhaseError {
			code = exitBlind
		}
		for _, s := range e.Sources {
			if !s.OK {
				code = exitBlind
			}
		}
	}
	if code != 0 {
		return exitError{code: code, err: errQuiet}
	}
	return nil
}

// completePolicies completes the names of policies where they are at hand: in
// files, or at a service that answers at once.
func (o *previewOptions) completePolicies(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var all []cobra.Completion
	for _, name := range o.atHand(cmd) {
		if strings.HasPrefix(name, begun) {
			all = append(all, name)
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

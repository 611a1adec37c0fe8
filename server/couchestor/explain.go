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
	"time"

	"github.com/spf13/cobra"

	"github.com/billyronks/couchestor/server/explain"
	"github.com/billyronks/couchestor/tiering"
)

func newExplainCommand() *cobra.Command {
	o := newPreviewOptions()
	policy := ""
	cmd := &cobra.Command{
		Use:   "explain VOLUME|NAMESPACE/CLAIM",
		Short: "Say why a volume moves, or why it does not",
		Long: `Say why a volume moves, or why it does not.

Prints every gate with what it saw, what it asks for and when it opens, every pool the
volume could go to with what is in the way, and the last moves. A volume is named by its
PersistentVolume, by the uuid Mayastor knows it by, or by namespace/name of its claim.

It is decided as plan does, on the same sources. Where several policies select the
volume, the one that wins it explains; --policy asks another. With --server a running
service is asked what it decided last. It starts nothing and changes nothing.`,
		Example: `  # Why does this database not move?
  couchestor explain orders/postgres-0

  # By the eyes of the service, which knows how long pools have been Online.
  kubectl -n couchestor-system port-forward deploy/couchestor 8081 &
  couchestor explain orders/postgres-0 --server http://localhost:8081

  # Would a changed policy move it?
  couchestor explain orders/postgres-0 -f policy.yaml --policy databases`,
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return o.completeVolumes(cmd, begun)
		},
	}
	cmd.Flags().StringVar(&policy, "policy", "", "explain by this policy, not by the one that wins the volume")
	o.bind(cmd)
	_ = cmd.RegisterFlagCompletionFunc("policy", o.completePolicies)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.validate(cmd); err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
		defer stop()
		ask := o.explanations
		if o.server != "" {
			ask = o.serverExplanations
		}
		all, err := ask(ctx, cmd, args[0], policy)
		if err != nil {
			return err
		}
		best := winning(all)
		return o.print(cmd.OutOrStdout(), best, func(w io.Writer, s explain.Style) {
			explain.Volume(w, best, s)
			for i := range all {
				if e := &all[i]; e != best {
					fmt.Fprintf(w, "\nPolicy %s selects it, too; --policy %s explains by that one.\n", e.Policy, e.Policy)
				}
			}
		})
	}
	return cmd
}

// winning is the explanation by the policy that wins the volume.
func winning(all []tiering.VolumeExplanation) *tiering.VolumeExplanation {
	for i := range all {
		if all[i].Winner == "" {
			return &all[i]
		}
	}
	return &all[0]
}

// explanations explains a volume by each policy that decides on it, or by one.
func (o *previewOptions) explanations(ctx context.Context, cmd *cobra.Command, volume, policy string) ([]tiering.VolumeExplanation, error) {
	p, err := o.open(ctx, cmd)
	if err != nil {
		return nil, err
	}
	defer p.close()
	names := p.objects.Policies()
	if policy != "" {
		if err := p.find(policy); err != nil {
			return nil, err
		}
		names = []string{policy}
	}
	var all []tiering.VolumeExplanation
	var faulty []string
	for _, name := range names {
		d, err := p.decide(ctx, name)
		if err != nil {
			return nil, err
		}
		if d.Plan == nil {
			faulty = append(faulty, name)
			continue
		}
		if i, ok := d.Plan.Lookup(volume); ok {
			e := d.Plan.ExplainVolume(i, d.Status)
			e.AgeSeconds = max(0, time.Since(d.At).Round(100*time.Millisecond).Seconds())
			all = append(all, e)
		}
	}
	if len(all) == 0 {
		return nil, p.unexplained(volume, policy, faulty)
	}
	return all, nil
}

// unexplained says why nothing explains a volume.
func (p *preview) unexplained(volume, policy string, faulty []string) error {
	name, ok := p.claimed(volume)
	text := fmt.Sprintf("there is no volume %s among the PersistentVolumes of Mayastor", volume)
	if near := explain.Near(volume, p.volumes(), 5); !ok && len(near) > 0 {
		text += "; did you mean " + strings.Join(near, ", ") + "?"
	}
	if ok {
		who := "no policy selects it"
		if policy != "" {
			who = "policy " + policy + " does not select it"
		}
		text = fmt.Sprintf("PersistentVolume %s is there, and %s; look at storageClassName, claimNamespaces and volumeSelector", name, who)
	}
	if len(faulty) > 0 {
		text += ". These policies have faults and select nothing: " + strings.Join(faulty, ", ")
	}
	return errors.New(text)
}

// completeVolumes completes claims and volumes where they are at hand, which is
// in a saved request.
func (o *previewOptions) completeVolumes(cmd *cobra.Command, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if o.request == "" || o.request == "-" {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	p, err := o.read(cmd.Context(), cmd.InOrStdin(), newWaiter(io.Discard))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var all []cobra.Completion
	for _, name := range p.volumes() {
		if strings.HasPrefix(name, begun) {
			all = append(all, name)
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

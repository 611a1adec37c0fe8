package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/billyronks/couchestor/server/explain"
	"github.com/billyronks/couchestor/tiering"
)

// asking asks a running service for what it decided last.
type asking struct {
	base string
	wait func(what string) (done func())
}

// absentError is the answer that there is no such thing, in the service's words.
type absentError struct{ line string }

func (e *absentError) Error() string { return e.line }

// The bounds of an answer.
const (
	answerTimeout = 30 * time.Second
	maxAnswer     = 256 << 20
)

func (o *previewOptions) asking(stderr io.Writer) (*asking, error) {
	u, err := url.Parse(o.server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, exitError{code: exitUsage, err: errors.New("--server is no address of a service; give one such as http://localhost:8081")}
	}
	return &asking{base: strings.TrimRight(o.server, "/"), wait: newWaiter(stderr).on}, nil
}

// get reads the page of the names into out.
func (a *asking) get(ctx context.Context, out any, names ...string) error {
	defer a.wait("the service at " + a.base)()
	parts := append(make([]string, 0, 1+len(names)), explain.Prefix)
	for _, name := range names {
		parts = append(parts, url.PathEscape(name))
	}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base+strings.Join(parts, "/"), http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask the service: %w; is it the --ops-address, and reachable, as by kubectl port-forward?", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("ask the service: %w", err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	switch {
	case answer.StatusCode == http.StatusNotFound && !strings.HasPrefix(line, "there is nothing here"):
		return &absentError{line}
	case answer.StatusCode != http.StatusOK:
		return fmt.Errorf("the service answers %s: %.200s", answer.Status, line)
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("what answers at %s is no couchestor of this kind: %w", a.base, err)
	}
	return nil
}

// policies are the names of those that were decided on.
func (a *asking) policies(ctx context.Context) ([]string, error) {
	var x explain.Index
	if err := a.get(ctx, &x); err != nil {
		return nil, err
	}
	names := make([]string, len(x.Policies))
	for i := range x.Policies {
		names[i] = x.Policies[i].Policy
	}
	if len(names) == 0 {
		return nil, errors.New("the service has not decided on any policy yet; Metacontroller asks it within 5 minutes")
	}
	return names, nil
}

// serverPlans asks for what was decided on the policies named, or on all.
func (o *previewOptions) serverPlans(ctx context.Context, cmd *cobra.Command, names []string) ([]tiering.Explanation, error) {
	a, err := o.asking(cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		if names, err = a.policies(ctx); err != nil {
			return nil, err
		}
	}
	plans := make([]tiering.Explanation, len(names))
	for i, name := range names {
		if err := a.get(ctx, &plans[i], name); err != nil {
			return nil, err
		}
	}
	return plans, nil
}

// serverExplanations asks each policy, or one, about a volume.
func (o *previewOptions) serverExplanations(ctx context.Context, cmd *cobra.Command, volume, policy string) ([]tiering.VolumeExplanation, error) {
	a, err := o.asking(cmd.ErrOrStderr())
	if err != nil {
		return nil, err
	}
	names := []string{policy}
	if policy == "" {
		if names, err = a.policies(ctx); err != nil {
			return nil, err
		}
	}
	var all []tiering.VolumeExplanation
	var lines []string
	for _, name := range names {
		var e tiering.VolumeExplanation
		err := a.get(ctx, &e, name, volume)
		if no, ok := errors.AsType[*absentError](err); ok {
			lines = append(lines, no.line)
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	if len(all) == 0 {
		// The line that knows a name like it says most.
		if i := slices.IndexFunc(lines, func(s string) bool { return strings.Contains(s, "did you mean") }); i >= 0 {
			return nil, errors.New(lines[i])
		}
		return nil, errors.New(strings.Join(lines, "\n"))
	}
	return all, nil
}

// completionTime is as long as a shell may wait for a completion.
const completionTime = 2 * time.Second

// atHand are the names of the policies that can be known without waiting.
func (o *previewOptions) atHand(cmd *cobra.Command) []string {
	switch {
	case o.server != "":
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		a, err := o.asking(io.Discard)
		if err != nil {
			return nil
		}
		names, err := a.policies(ctx)
		if err != nil {
			return nil
		}
		return names
	case o.request != "" && o.request != "-":
		p, err := o.read(cmd.Context(), cmd.InOrStdin(), newWaiter(io.Discard))
		if err != nil {
			return nil
		}
		return p.objects.Policies()
	}
	return nil
}

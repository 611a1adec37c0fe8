package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/billyronks/couchestor/mayastor"
	"github.com/billyronks/couchestor/tiering"
)

// The switches for which a move ends, or does not begin.
const (
	reasonPolicyDisabled mayastor.Reason = "PolicyDisabled"
	reasonEmergencyStop  mayastor.Reason = "EmergencyStop"
	reasonFrozen         mayastor.Reason = "Frozen"
)

// switchAge is how old the word of a switch may be. It is asked at each poll
// and before each side effect, of which there may be several in a row.
const switchAge = time.Second

// policiesPath is where the API server has StoragePolicies.
const policiesPath = "/apis/storage.billyronks.io/v1/storagepolicies"

// switches are the policy and the governance of the cluster, as far as they say
// whether a move is to go on. For one goroutine.
type switches struct {
	// policy is nil where no policy asked for the move, governance where none is
	// to be read.
	policy, governance *watched
	// said is the trouble of a governance that is in part unreadable.
	said string
	log  *slog.Logger
}

func newSwitches(client kubernetes.Interface, o *migrateOptions, log *slog.Logger) *switches {
	s := &switches{log: log}
	// A read that hangs must hold up neither the polls nor the renewals.
	patience := max(o.poll, time.Second)
	if o.policy != "" {
		s.policy = &watched{what: "StoragePolicy " + o.policy, patience: patience, log: log, read: func(ctx context.Context) ([]byte, error) {
			return client.CoordinationV1().RESTClient().Get().
				AbsPath(policiesPath, o.policy).DoRaw(ctx)
		}}
	}
	if name := o.cluster.governance; name != "" {
		s.governance = &watched{what: fmt.Sprintf("ConfigMap %s/%s", o.jobSpace, name), patience: patience, log: log, read: func(ctx context.Context) ([]byte, error) {
			return client.CoreV1().RESTClient().Get().
				AbsPath("/api/v1/namespaces", o.jobSpace, "configmaps", name).DoRaw(ctx)
		}}
	}
	return s
}

// stop returns why the move is to end at the next safe place, or nil. Only what
// says so ends a move: what is gone or cannot be read lets it go on. begun is
// false while the volume is untouched: then a freeze counts, too.
func (s *switches) stop(ctx context.Context, begun bool) *mayastor.Ending {
	if e := s.governed(ctx, begun); e != nil {
		return e
	}
	text, err := s.policy.get(ctx)
	if text == nil || err != nil {
		return nil
	}
	var policy struct {
		metav1.ObjectMeta `json:"metadata"`
		Spec              struct {
			Enabled *bool `json:"enabled"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(text, &policy); err != nil {
		s.policy.complain(ctx, err)
		return nil
	}
	// A policy that is being deleted lets its moves finish.
	if policy.DeletionTimestamp == nil && policy.Spec.Enabled != nil && !*policy.Spec.Enabled {
		return &mayastor.Ending{
			State: mayastor.Aborted, Reason: reasonPolicyDisabled,
			Sentence: s.policy.what + " was disabled (spec.enabled is false) while its move ran; enable it to let the planner move the volume again",
		}
	}
	return nil
}

// governed is stop of the governance alone. A part of it that cannot be read
// does not hide a stop beside it.
func (s *switches) governed(ctx context.Context, begun bool) *mayastor.Ending {
	data, err := s.data(ctx)
	if err != nil {
		return nil
	}
	g, faults := tiering.ParseGovernance(data)
	if err := errors.Join(faults...); err == nil {
		s.said = ""
	} else if err.Error() != s.said {
		s.said = err.Error()
		s.log.WarnContext(ctx, "the governance of the cluster has faults; what it says of stop and freeze holds", "action", mayastor.ActionWaiting, "outcome", "waiting", "error", s.said)
	}
	switch {
	case g.Stop.On:
		return &mayastor.Ending{
			State: mayastor.Aborted, Reason: reasonEmergencyStop,
			Sentence: fmt.Sprintf("the emergency stop of the cluster is on (key emergencyStop of %s%s); no move starts until it says false", s.governance.what, because(g.Stop.Reason)),
		}
	case !begun && g.Freeze.Holds(time.Now()):
		until := "until its end can be read"
		if !g.Freeze.Until.IsZero() {
			until = "until " + g.Freeze.Until.UTC().Format(time.RFC3339)
		}
		return &mayastor.Ending{
			State: mayastor.Refused, Reason: reasonFrozen,
			Sentence: fmt.Sprintf("no move starts %s (key freeze.until of %s%s)", until, s.governance.what, because(g.Freeze.Reason)),
		}
	}
	return nil
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + reason
}

// limits returns what the governance lets run at once, as it is now. A key that
// cannot be read is an error: nobody knows what it would bound.
func (s *switches) limits(ctx context.Context) (mayastor.Caps, error) {
	if s.governance == nil {
		return mayastor.Caps{}, nil
	}
	s.governance.asked = time.Time{}
	data, err := s.data(ctx)
	if err != nil {
		return mayastor.Caps{}, err
	}
	// What else is wrong with it, the service tells; it bounds nothing here.
	maps.DeleteFunc(data, func(key, _ string) bool { return !strings.HasPrefix(key, "limit") })
	g, faults := tiering.ParseGovernance(data)
	if err := errors.Join(faults...); err != nil {
		return mayastor.Caps{}, fmt.Errorf("%s: %w", s.governance.what, err)
	}
	return mayastor.Caps{Moves: g.Caps.Moves, Bytes: g.Caps.Bytes, PerPool: g.Caps.PerPool, PerNode: g.Caps.PerNode}, nil
}

// data is that of the ConfigMap; nil if there is none.
func (s *switches) data(ctx context.Context) (map[string]string, error) {
	text, err := s.governance.get(ctx)
	if text == nil || err != nil {
		return nil, err
	}
	var configMap struct {
		Data map[string]string `json:"data"`
	}
	if err := json.Unmarshal(text, &configMap); err != nil {
		s.governance.complain(ctx, err)
		return nil, fmt.Errorf("read %s: %w", s.governance.what, err)
	}
	return configMap.Data, nil
}

// watched is an object that is read again and again. For one goroutine.
type watched struct {
	what string
	// patience bounds one read.
	patience time.Duration
	read     func(context.Context) ([]byte, error)
	log      *slog.Logger

	asked  time.Time
	text   []byte
	err    error
	silent string
}

// get returns the object as it was at most switchAge ago, and nil for one that
// is not there or not to be read. That it cannot be read is said once for each
// reason.
func (w *watched) get(ctx context.Context) ([]byte, error) {
	if w == nil {
		return nil, nil // not to be read
	}
	if !w.asked.IsZero() && time.Since(w.asked) < switchAge {
		return w.text, w.err
	}
	w.asked = time.Now()
	limited, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	w.text, w.err = w.read(limited)
	switch {
	case w.err != nil && ctx.Err() != nil:
		// Nobody waits for the answer any more, so nothing is known of it.
		w.asked = time.Time{}
		return nil, w.err
	case apierrors.IsNotFound(w.err):
		w.text, w.err = nil, nil
	case w.err != nil:
		w.text, w.err = nil, fmt.Errorf("read %s: %w", w.what, w.err)
		w.complain(ctx, w.err)
		return nil, w.err
	}
	w.silent = ""
	return w.text, nil
}

func (w *watched) complain(ctx context.Context, err error) {
	if text := err.Error(); text != w.silent {
		w.silent = cmp.Or(text, "unreadable")
		w.log.WarnContext(ctx, "it cannot be asked whether the move is to stop; the move goes on", "action", mayastor.ActionWaiting, "outcome", "waiting", "error", text)
	}
}

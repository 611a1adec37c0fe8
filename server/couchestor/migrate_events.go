package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/billyronks/couchestor/mayastor"
)

const (
	// eventPatience bounds what an event may hold its move up.
	eventPatience = 5 * time.Second
	// eventSource is who writes the events.
	eventSource = "couchestor-migrate"
	// maxEventMessage is what newer clients of events accept, in bytes.
	maxEventMessage = 1024
)

// events tells people of a move where kubectl describe shows it: on the claim of
// the volume, and on the policy that asked for the move.
type events struct {
	client kubernetes.Interface
}

// tell writes the events of one change. Their names follow from move and change,
// so that a pod which goes on where another one died repeats none.
func (e events) tell(ctx context.Context, action string, r mayastor.Result) error {
	ctx, cancel := context.WithTimeout(ctx, eventPatience)
	defer cancel()
	claim, cerr := e.claim(ctx, r)
	policy, perr := e.policy(ctx, r)
	where := "volume pvc-" + r.Volume
	errs := []error{cerr, perr}
	if claim != nil {
		where += fmt.Sprintf(" (claim %s/%s)", claim.Namespace, claim.Name)
		errs = append(errs, e.write(ctx, "", action, claim, message(action, r), r))
	}
	if policy != nil {
		errs = append(errs, e.write(ctx, ".policy", action, policy, where+": "+message(action, r), r))
	}
	return errors.Join(errs...)
}

// claim is the claim that the volume is bound to; nil if there is none.
func (e events) claim(ctx context.Context, r mayastor.Result) (*corev1.ObjectReference, error) {
	pv, err := e.client.CoreV1().PersistentVolumes().Get(ctx, "pvc-"+r.Volume, metav1.GetOptions{})
	if err != nil || pv.Spec.ClaimRef == nil {
		return nil, ignoreGone(err)
	}
	ref := pv.Spec.ClaimRef
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: ref.Namespace, Name: ref.Name, UID: ref.UID}, nil
}

// policy is the policy that asked for the move; nil if none did or it is gone.
func (e events) policy(ctx context.Context, r mayastor.Result) (*corev1.ObjectReference, error) {
	if r.Policy == "" {
		return nil, nil //nolint:nilnil // moved by hand: neither a policy nor a fault
	}
	text, err := e.client.CoordinationV1().RESTClient().Get().AbsPath(policiesPath, r.Policy).DoRaw(ctx)
	if err != nil {
		return nil, ignoreGone(err)
	}
	var policy struct {
		metav1.ObjectMeta `json:"metadata"`
	}
	if err := json.Unmarshal(text, &policy); err != nil {
		return nil, err
	}
	return &corev1.ObjectReference{APIVersion: "storage.billyronks.io/v1", Kind: "StoragePolicy", Name: r.Policy, UID: policy.UID}, nil
}

func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// write makes one event, unless it is there already. Events of what has no
// namespace are in namespace default.
func (e events) write(ctx context.Context, suffix, action string, of *corev1.ObjectReference, text string, r mayastor.Result) error {
	now := metav1.Now()
	kind := corev1.EventTypeWarning
	if action == mayastor.ActionStarted || r.State == mayastor.Moved {
		kind = corev1.EventTypeNormal
	}
	host, _ := os.Hostname() // known to whoever reads the audit trail
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: r.Move + "." + strings.ReplaceAll(action, "_", "-") + suffix, Namespace: cmp.Or(of.Namespace, metav1.NamespaceDefault)},
		InvolvedObject: *of, Type: kind, Reason: camel(action), Message: text[:min(len(text), maxEventMessage)],
		Source:         corev1.EventSource{Component: eventSource, Host: os.Getenv("NODE_NAME")},
		FirstTimestamp: now, LastTimestamp: now, Count: 1,
		ReportingController: eventSource, ReportingInstance: cmp.Or(os.Getenv("POD_NAME"), host),
	}
	_, err := e.client.CoreV1().Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// camel is move_started as MoveStarted.
func camel(action string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(action, "_") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// message says the change in a sentence, with the id that finds its audit trail.
func message(action string, r mayastor.Result) string {
	tiers := ""
	if r.From != "" && r.To != "" {
		tiers = fmt.Sprintf(" from %s to %s", r.From, r.To)
	}
	took := max(0, r.Ended.Sub(r.Started)).Round(time.Second)
	switch {
	case action == mayastor.ActionStarted:
		return fmt.Sprintf("Moving%s, replica by replica, online (move %s)", tiers, r.Move)
	case r.State == mayastor.Moved:
		return fmt.Sprintf("Moved%s in %s: %d replicas from %s to %s (move %s)", tiers, took, r.Replicas, strings.Join(r.FromPools, ", "), strings.Join(r.ToPools, ", "), r.Move)
	case r.State == mayastor.Refused:
		return fmt.Sprintf("Not moved%s, nothing was touched: %s (%s, move %s)", tiers, r.Error, r.Reason, r.Move)
	}
	return fmt.Sprintf("Move%s %s after %s: %s (%s, %d replicas moved, move %s)", tiers, r.State, took, r.Error, r.Reason, r.Replicas, r.Move)
}

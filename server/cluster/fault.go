package cluster

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/server/world"
)

// answerError is an answer that is not what the API promises.
type answerError struct{ err error }

func (e *answerError) Error() string { return e.err.Error() }
func (e *answerError) Unwrap() error { return e.err }

func badAnswer(err error) error { return &answerError{err} }

// fault classes why a list or watch failed.
func (r *Reader) fault(doing string, kind hooks.Kind, err error) *world.Fault {
	const consequence = "so nothing new starts"
	because := func(reason, format string, args ...any) *world.Fault {
		return &world.Fault{Reason: reason, Message: fmt.Sprintf(format, args...), Err: err}
	}
	_, answered := errors.AsType[*apierrors.StatusError](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), apierrors.IsTimeout(err), apierrors.IsServerTimeout(err):
		return because(world.TimedOut, "Kubernetes at %s did not answer in time to %s %s, %s; look at the load of the API server.", r.host, doing, kind, consequence)
	case apierrors.IsUnauthorized(err):
		return because(world.Unauthorized, "Kubernetes at %s does not know who asks to %s %s, %s; check the service account's token, or the kubeconfig.", r.host, doing, kind, consequence)
	case apierrors.IsForbidden(err):
		return because(world.Unauthorized, "Kubernetes at %s does not let this service %s %s, %s; let its service account list and watch them.", r.host, doing, kind, consequence)
	case apierrors.IsNotFound(err):
		return because(world.QueryFailed, "Kubernetes at %s does not serve %s, %s; install the CRD.", r.host, kind, consequence)
	case answered:
		return because(world.QueryFailed, "Kubernetes at %s answers with an error (%s) when asked to %s %s, %s; look at the API server's logs.", r.host, apierrors.ReasonForError(err), doing, kind, consequence)
	}
	if _, ok := errors.AsType[*answerError](err); ok {
		return because(world.BadAnswer, "What Kubernetes at %s sends of %s cannot be read (%s), %s; look whether another program answers there, and at the object.", r.host, kind, err, consequence)
	}
	return because(world.Unreachable, "Kubernetes at %s cannot be reached (%s), %s; look at the API server and the network.", r.host, world.Cause(err), consequence)
}

package watchloop

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// The account that Metacontroller's own manifests give it.
const namespace, account = "metacontroller", "metacontroller"

// JobNamespace is the one in which the rights let it write Jobs.
const JobNamespace = "couchestor-system"

//go:embed crds.yaml
var definitions []byte

// Install makes what the watch loop needs beside its program: its CRDs, its
// account, and the least rights, as they are shipped. The CRDs are those of the file that
// METACONTROLLER_CRDS names, else our own, which say no more than that there are
// such kinds.
func Install(ctx context.Context, r *rig.Rig) error {
	crds := definitions
	if path := os.Getenv("METACONTROLLER_CRDS"); path != "" {
		var err error
		if crds, err = os.ReadFile(path); err != nil {
			return fmt.Errorf("METACONTROLLER_CRDS: %w", err)
		}
	}
	if err := r.Apply(ctx, crds); err != nil {
		return err
	}
	kinds := schema.GroupVersion{Group: "metacontroller.k8s.io", Version: "v1alpha1"}
	for _, name := range []string{"compositecontrollers", "decoratorcontrollers", "controllerrevisions"} {
		if err := Served(ctx, r, kinds.WithResource(name)); err != nil {
			return err
		}
	}
	for _, name := range []string{namespace, JobNamespace} {
		_, err := r.Client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	if _, err := r.ServiceAccount(ctx, namespace, account); err != nil {
		return err
	}
	root, err := rig.Root()
	if err != nil {
		return err
	}
	rights, err := os.ReadFile(filepath.Join(root, "manifests", "components", "metacontroller-rbac", "rbac.yaml"))
	if err != nil {
		return err
	}
	if err := r.Apply(ctx, rights); err != nil {
		return err
	}
	return allowed(ctx, r)
}

// Served waits until a kind can be listed: that is a moment after its CRD was
// applied.
func Served(ctx context.Context, r *rig.Rig, kind schema.GroupVersionResource) error {
	client, err := dynamic.NewForConfig(r.Admin)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("%s are not served", kind.GroupResource()))
	defer cancel()
	return rig.Until(ctx, 50*time.Millisecond, func(ctx context.Context) (bool, error) {
		_, err := client.Resource(kind).List(ctx, metav1.ListOptions{Limit: 1})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
}

// allowed waits until the authorizer knows the roles; it learns of them by a
// watch, like everybody.
func allowed(ctx context.Context, r *rig.Rig) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("the rights of the watch loop do not count"))
	defer cancel()
	for _, a := range []authorizationv1.ResourceAttributes{
		{Group: "metacontroller.k8s.io", Resource: "compositecontrollers", Verb: "watch"},
		{Namespace: JobNamespace, Group: "batch", Resource: "jobs", Verb: "create"},
	} {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:" + namespace + ":" + account, ResourceAttributes: &a,
		}}
		err := rig.Until(ctx, 20*time.Millisecond, func(ctx context.Context) (bool, error) {
			answer, err := r.Client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			return err == nil && answer.Status.Allowed, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

package rig

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
)

// Apply applies YAML documents in their order, as kubectl apply --server-side
// would. A document whose kind was defined by the one before it waits until that
// kind is served.
func (r *Rig) Apply(ctx context.Context, manifest []byte) error {
	return r.ApplyWith(ctx, manifest, metav1.PatchOptions{})
}

// ApplyWith is Apply with options, such as a dry run; field manager and force are
// always the same.
func (r *Rig) ApplyWith(ctx context.Context, manifest []byte, options metav1.PatchOptions) error {
	options.FieldManager, options.Force = "rig", new(true)
	client, err := dynamic.NewForConfig(r.Admin)
	if err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(r.Client.Discovery()))
	docs := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(manifest)))
	for {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		object := new(unstructured.Unstructured)
		if err := yaml.Unmarshal(doc, &object.Object); err != nil {
			return err
		}
		if len(object.Object) == 0 {
			continue // comments only
		}
		if err := applyOne(ctx, client, mapper, object, options); err != nil {
			return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
}

func applyOne(ctx context.Context, client dynamic.Interface, mapper *restmapper.DeferredDiscoveryRESTMapper, object *unstructured.Unstructured, options metav1.PatchOptions) error {
	kind := object.GroupVersionKind()
	var mapping *meta.RESTMapping
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("%s is not served", kind))
	defer cancel()
	err := Until(ctx, 100*time.Millisecond, func(context.Context) (bool, error) {
		var err error
		if mapping, err = mapper.RESTMapping(kind.GroupKind(), kind.Version); meta.IsNoMatchError(err) {
			mapper.Reset()
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return err
	}
	var api dynamic.ResourceInterface = client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		api = client.Resource(mapping.Resource).Namespace(object.GetNamespace())
	}
	text, err := object.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = api.Patch(ctx, object.GetName(), types.ApplyPatchType, text, options)
	return err
}

// Delete deletes an object in the background, as kubectl delete does.
func (r *Rig) Delete(ctx context.Context, object *unstructured.Unstructured) error {
	client, err := dynamic.NewForConfig(r.Admin)
	if err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(r.Client.Discovery()))
	kind := object.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		return nil // it went with its kind
	}
	if err != nil {
		return err
	}
	propagation := metav1.DeletePropagationBackground
	return client.Resource(mapping.Resource).Namespace(object.GetNamespace()).
		Delete(ctx, object.GetName(), metav1.DeleteOptions{PropagationPolicy: &propagation})
}

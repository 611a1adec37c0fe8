package driver

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Controller is a CompositeController (MC 1), read from the same manifest that
// users apply; [ReadController] reads it.
type Controller struct {
	// Name is that of the object; the finalizer carries it.
	Name string
	spec controllerSpec
	// document is the whole object, as hooks get it.
	document map[string]any
}

type controllerSpec struct {
	ParentResource struct {
		APIVersion          string                `json:"apiVersion"`
		Resource            string                `json:"resource"`
		LabelSelector       *metav1.LabelSelector `json:"labelSelector"`
		IgnoreStatusChanges bool                  `json:"ignoreStatusChanges"`
		RevisionHistory     any                   `json:"revisionHistory"`
	} `json:"parentResource"`
	ChildResources []struct {
		APIVersion     string `json:"apiVersion"`
		Resource       string `json:"resource"`
		UpdateStrategy struct {
			Method string `json:"method"`
		} `json:"updateStrategy"`
	} `json:"childResources"`
	ResyncPeriodSeconds *int32 `json:"resyncPeriodSeconds"`
	GenerateSelector    bool   `json:"generateSelector"`
	Hooks               *struct {
		Sync      *Hook `json:"sync"`
		Finalize  *Hook `json:"finalize"`
		Customize *Hook `json:"customize"`
	} `json:"hooks"`
}

// Hook is one webhook of a Controller.
type Hook struct {
	Version string  `json:"version"`
	Webhook webhook `json:"webhook"`
}

type webhook struct {
	URL     string `json:"url"`
	Path    string `json:"path"`
	Service *struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
		Port      *int32 `json:"port"`
		Protocol  string `json:"protocol"`
	} `json:"service"`
	// CABundle has certificates as PEM; references to Secrets and ConfigMaps are
	// not modelled.
	CABundle *struct {
		Inline string `json:"inline"`
	} `json:"caBundle"`
	Timeout               *metav1.Duration `json:"timeout"`
	ResponseUnMarshalMode string           `json:"responseUnMarshallMode"`
}

// ReadController reads a CompositeController from YAML or JSON. What the
// driver does not model is an error, and so is what it does not know.
func ReadController(document []byte) (Controller, error) {
	var object struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metav1.ObjectMeta `json:"metadata"`
		Spec            controllerSpec    `json:"spec"`
		Status          any               `json:"status"`
	}
	if err := yaml.UnmarshalStrict(document, &object); err != nil {
		return Controller{}, fmt.Errorf("read CompositeController: %w", err)
	}
	if object.APIVersion != "metacontroller.k8s.io/v1alpha1" || object.Kind != "CompositeController" {
		return Controller{}, fmt.Errorf("read CompositeController: this is a %s of %s", object.Kind, object.APIVersion)
	}
	c := Controller{Name: object.Metadata.Name, spec: object.Spec}
	if err := c.check(); err != nil {
		return Controller{}, fmt.Errorf("CompositeController %s: %w", c.Name, err)
	}
	if err := yaml.Unmarshal(document, &c.document); err != nil {
		return Controller{}, fmt.Errorf("read CompositeController %s: %w", c.Name, err)
	}
	return c, nil
}

// check finds all faults at once.
func (c Controller) check() error {
	var faults []error
	if c.Name == "" {
		faults = append(faults, errors.New("metadata.name is missing"))
	}
	if c.spec.Hooks == nil || c.spec.Hooks.Sync == nil {
		return errors.Join(append(faults, errors.New("hooks.sync is missing: each sync would fail"))...)
	}
	for name, hook := range c.hooks() {
		if hook == nil {
			continue
		}
		if _, err := hook.url(); err != nil {
			faults = append(faults, fmt.Errorf("hooks.%s: %w", name, err))
		}
		switch hook.Version {
		case "", "v1", "v2":
		default:
			faults = append(faults, fmt.Errorf("hooks.%s: version %q is neither v1 nor v2", name, hook.Version))
		}
		switch hook.Webhook.ResponseUnMarshalMode {
		case "", "loose", "strict":
		default:
			faults = append(faults, fmt.Errorf("hooks.%s: responseUnMarshallMode %q is neither loose nor strict", name, hook.Webhook.ResponseUnMarshalMode))
		}
	}
	for _, child := range c.spec.ChildResources {
		if m := child.UpdateStrategy.Method; m != "" && m != "OnDelete" {
			faults = append(faults, fmt.Errorf("childResources %s: update strategy %s is not modelled, only OnDelete", child.Resource, m))
		}
	}
	return errors.Join(faults...)
}

func (c Controller) hooks() map[string]*Hook {
	return map[string]*Hook{"sync": c.spec.Hooks.Sync, "finalize": c.spec.Hooks.Finalize, "customize": c.spec.Hooks.Customize}
}

// finalizer is the one that keeps a parent until finalize said it is done (MC 6).
func (c Controller) finalizer() string { return "metacontroller.io/compositecontroller-" + c.Name }

// url is the address called; the service form has no .svc (MC 1).
func (h *Hook) url() (string, error) {
	w := h.Webhook
	switch {
	case w.URL != "":
		return w.URL, nil
	case w.Service == nil || w.Service.Name == "" || w.Service.Namespace == "":
		return "", errors.New("webhook needs url, or service with name and namespace")
	case w.Path == "":
		return "", errors.New("webhook.service needs path")
	}
	port, protocol := int32(80), "http"
	if w.Service.Port != nil {
		port = *w.Service.Port
	}
	if w.Service.Protocol != "" {
		protocol = w.Service.Protocol
	}
	return fmt.Sprintf("%s://%s.%s:%d/%s", protocol, w.Service.Name, w.Service.Namespace, port, strings.TrimPrefix(w.Path, "/")), nil
}

// client calls the hook by the transport, or by one that trusts whom the hook
// says (MC 7.4).
func (h *Hook) client(transport http.RoundTripper) (*http.Client, error) {
	ca := h.Webhook.CABundle
	if ca == nil || transport != nil {
		return &http.Client{Transport: transport}, nil
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM([]byte(ca.Inline)) {
		return nil, errors.New("webhook.caBundle.inline has no certificate")
	}
	own := http.DefaultTransport.(*http.Transport).Clone()
	own.TLSClientConfig = &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}
	return &http.Client{Transport: own}, nil
}

// timeout of the whole exchange; 10 s unless a positive one is given (MC 1).
func (h *Hook) timeout() time.Duration {
	if t := h.Webhook.Timeout; t != nil && t.Duration > 0 {
		return t.Duration
	}
	return 10 * time.Second
}

// strict: unknown and duplicate top-level fields of an answer are errors (MC 1).
func (h *Hook) strict() bool {
	if mode := h.Webhook.ResponseUnMarshalMode; mode != "" {
		return mode == "strict"
	}
	return h.Version == "v2"
}

// resyncPeriod is never below a second (MC 1); without one the informer's own
// re-delivery of 30 min remains (MC 5).
func (c Controller) resyncPeriod() time.Duration {
	const flush = 30 * time.Minute
	if c.spec.ResyncPeriodSeconds == nil {
		return flush
	}
	return min(max(time.Duration(*c.spec.ResyncPeriodSeconds)*time.Second, time.Second), flush)
}

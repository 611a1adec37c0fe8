package driver

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"
)

// groups are objects by their outer and inner keys (MC 2.2).
type groups map[string]map[string]*Object

func (g groups) put(o *Object) {
	g[groupKind(o.GetAPIVersion(), o.GetKind())][key(o.GetNamespace(), o.GetName())] = o
}

func (g groups) content() map[string]map[string]map[string]any {
	content := make(map[string]map[string]map[string]any, len(g))
	for outer, objects := range g {
		content[outer] = make(map[string]map[string]any, len(objects))
		for inner, o := range objects {
			content[outer][inner] = o.Object
		}
	}
	return content
}

// syncRequest is the body of sync and finalize (MC 2.2, 2.4).
type syncRequest struct {
	Controller map[string]any                       `json:"controller"`
	Parent     map[string]any                       `json:"parent"`
	Children   map[string]map[string]map[string]any `json:"children"`
	Related    map[string]map[string]map[string]any `json:"related"`
	Finalizing bool                                 `json:"finalizing"`
}

// customizeRequest is the body of customize (MC 2.5).
type customizeRequest struct {
	Controller map[string]any `json:"controller"`
	Parent     map[string]any `json:"parent"`
}

// answer is what sync and finalize answer (MC 2.3).
type answer struct {
	status             map[string]any
	children           []*Object
	resyncAfterSeconds float64
	finalized          bool
}

// Rule asks for related objects (MC 4.1).
type Rule struct {
	APIVersion        string                `json:"apiVersion"`
	Resource          string                `json:"resource"`
	LabelSelector     *metav1.LabelSelector `json:"labelSelector"`
	Namespace         string                `json:"namespace"`
	Names             []string              `json:"names"`
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector"`
}

func decodeAnswer(body []byte, strict bool) (answer, error) {
	var (
		a        answer
		children []stdjson.RawMessage
	)
	err := decodeFields(body, strict, map[string]any{
		"status":             &a.status,
		"children":           &children,
		"resyncAfterSeconds": &a.resyncAfterSeconds,
		"finalized":          &a.finalized,
	})
	if err != nil {
		return answer{}, err
	}
	for i, raw := range children {
		if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
			return answer{}, fmt.Errorf("children[%d] is null: upstream dereferences it and the process ends", i)
		}
		// Unknown and duplicate fields inside a child pass (MC 1).
		child := new(Object)
		if err := child.UnmarshalJSON(raw); err != nil {
			return answer{}, fmt.Errorf("children[%d]: %w", i, err)
		}
		a.children = append(a.children, child)
	}
	return a, nil
}

func decodeRules(body []byte, strict bool) ([]Rule, error) {
	var rules []Rule
	err := decodeFields(body, strict, map[string]any{"relatedResources": &rules})
	return rules, err
}

// decodeFields decodes a JSON object field by field. Strict refuses unknown
// and repeated fields; names are case-exact; null leaves every field alone.
func decodeFields(body []byte, strict bool, fields map[string]any) error {
	d := stdjson.NewDecoder(bytes.NewReader(body))
	token, err := d.Token()
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("unexpected end of JSON input")
	case err != nil:
		return err
	case token == nil:
		return end(d)
	case token != stdjson.Delim('{'):
		return fmt.Errorf("cannot unmarshal %v into an object", token)
	}
	var seen []string
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		name := token.(string) // the decoder accepts nothing else before a colon
		var raw stdjson.RawMessage
		if err := d.Decode(&raw); err != nil {
			return fmt.Errorf("field %q: %w", name, err)
		}
		target, known := fields[name]
		if strict && !known {
			return fmt.Errorf("strict decoding: unknown field %q", name)
		}
		if strict && slices.Contains(seen, name) {
			return fmt.Errorf("strict decoding: duplicate field %q", name)
		}
		seen = append(seen, name)
		if !known {
			continue
		}
		if err := json.Unmarshal(raw, target); err != nil {
			return fmt.Errorf("field %q: %w", name, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("unexpected end of JSON input: %w", err)
	}
	return end(d)
}

func end(d *stdjson.Decoder) error {
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is text after the top-level value")
	}
	return nil
}

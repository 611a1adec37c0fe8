package hooks

import (
	"bufio"
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/tiering"
)

// manifest is a StoragePolicy as its author writes it.
type manifest struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        metav1.ObjectMeta         `json:"metadata"`
	Spec            tiering.StoragePolicySpec `json:"spec"`
	// Status is there in what kubectl get printed.
	Status stdjson.RawMessage `json:"status,omitempty"`
}

// readManifests reads the policies of a text, and returns every fault of it: a
// field that does not exist is one, as it would be silently dropped or refused
// when the policy is applied.
func readManifests(text []byte) ([]*parent, error) {
	var policies []*parent
	var faults []error
	seen := map[string]bool{}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for n := 1; ; n++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		if len(bytes.TrimSpace(document)) == 0 {
			continue
		}
		policy, why := readManifest(document)
		switch {
		case len(why) > 0:
			for _, err := range why {
				faults = append(faults, fmt.Errorf("document %d: %w", n, err))
			}
		case policy == nil: // only comments
		case seen[policy.Name]:
			faults = append(faults, fmt.Errorf("document %d: policy %s is there twice", n, policy.Name))
		default:
			seen[policy.Name] = true
			policies = append(policies, policy)
		}
	}
	if len(faults) == 0 && len(policies) == 0 {
		faults = append(faults, fmt.Errorf("it has no %s in it", tiering.Kind))
	}
	return policies, errors.Join(faults...)
}

// readManifest reads one document; nil if it is empty.
func readManifest(document []byte) (*parent, []error) {
	text, err := yaml.YAMLToJSONStrict(document)
	if err != nil {
		return nil, []error{err}
	}
	if string(text) == "null" {
		return nil, nil
	}
	var m manifest
	unknown, err := json.UnmarshalStrict(text, &m)
	if err != nil {
		return nil, []error{err}
	}
	if m.Kind != tiering.Kind || m.APIVersion != tiering.APIVersion {
		return nil, []error{fmt.Errorf("it is apiVersion %q, kind %q, and only apiVersion %s, kind %s is planned", m.APIVersion, m.Kind, tiering.APIVersion, tiering.Kind)}
	}
	if m.Metadata.Name == "" {
		return nil, []error{errors.New("metadata.name is missing")}
	}
	if len(unknown) > 0 {
		return nil, unknown
	}
	var spec struct {
		Spec stdjson.RawMessage `json:"spec"`
	}
	if err := stdjson.Unmarshal(text, &spec); err != nil {
		return nil, []error{err}
	}
	return &parent{Name: m.Metadata.Name, Spec: spec.Spec}, nil
}

// sameRules reports whether the specs of two policies say the same, whichever of
// them has its defaults written out.
func sameRules(a, b *parent) bool {
	var rules [2]tiering.Rules
	for i, p := range []*parent{a, b} {
		var spec tiering.StoragePolicySpec
		if err := json.UnmarshalCaseSensitivePreserveInts(p.Spec, &spec); err != nil {
			return false
		}
		policy, faults := tiering.Compile("same", 0, time.Time{}, spec)
		if len(faults) > 0 {
			return false
		}
		rules[i] = policy.Rules
	}
	return reflect.DeepEqual(rules[0], rules[1])
}

package hooks

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/tiering"
)

// rule asks Metacontroller for objects (MC 4.1). Without a selector it is all
// of the kind, in all namespaces.
type rule struct {
	APIVersion    string                `json:"apiVersion"`
	Resource      string                `json:"resource"`
	LabelSelector *metav1.LabelSelector `json:"labelSelector,omitempty"`
}

// rules are the customize answer. It is the same for every policy, as it is
// cached by generation and cannot follow anything else (MC 4.2). PersistentVolumes
// cannot be narrowed: they have no labels of their driver and no field selectors.
// A service that reads Kubernetes itself asks for nothing. That is no other
// version of the rules: what is sent for 20 minutes after the switch, because an
// older answer asked for it, is not looked at; and what is missing for 20 minutes
// after the switch back is refused until it is there (see [decoder.related]).
func (h *Hooks) rules() []rule {
	if h.config.Cluster != nil {
		return []rule{}
	}
	rules := []rule{
		{APIVersion: "v1", Resource: "persistentvolumes"},
		{APIVersion: tiering.APIVersion, Resource: "storagepolicies"},
		// The Jobs of all policies, also of those that are gone.
		{APIVersion: "batch/v1", Resource: "jobs", LabelSelector: &metav1.LabelSelector{
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: VolumeLabel, Operator: metav1.LabelSelectorOpExists}},
		}},
	}
	if h.config.ClaimLabels {
		rules = append(rules, rule{APIVersion: "v1", Resource: "persistentvolumeclaims"})
	}
	if h.config.DiskPools != "" {
		rules = append(rules, rule{APIVersion: h.config.DiskPools, Resource: "diskpools"})
	}
	return rules
}

func (h *Hooks) customize(d *decoder) ([]byte, error) {
	if err := d.customizeRequest(); err != nil {
		return nil, err
	}
	return json.Marshal(struct {
		RelatedResources []rule `json:"relatedResources"`
	}{h.rules()})
}

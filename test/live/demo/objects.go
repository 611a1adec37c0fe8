package main

import (
	_ "embed"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/test/driver"
)

//go:embed policies.yaml
var policiesYAML string

// namespace of the Jobs.
const namespace = "couchestor-system"

var policyNames = []string{"databases", "caches", "logs"}

// policyRef names a StoragePolicy.
func policyRef(name string) driver.Ref {
	return driver.Ref{APIVersion: "storage.billyronks.io/v1", Kind: "StoragePolicy", Name: name}
}

// policies reads the policies of the play.
func policies() ([]*driver.Object, error) {
	var values []any
	for document := range strings.SplitSeq(policiesYAML, "\n---\n") {
		var value map[string]any
		if err := yaml.Unmarshal([]byte(document), &value); err != nil {
			return nil, fmt.Errorf("read policies: %w", err)
		}
		values = append(values, value)
	}
	return driver.Objects(values...)
}

// provision makes what Kubernetes has of a volume: the PersistentVolume and the
// claim that is bound to it.
func provision(api *driver.API, v *volume) error {
	space, name, _ := strings.Cut(v.claim, "/")
	claim := map[string]any{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim",
		"metadata": map[string]any{
			"name": name, "namespace": space, "uid": "c" + v.uuid[1:],
			"labels": map[string]any{"app.kubernetes.io/component": v.component},
		},
		"spec": map[string]any{
			"accessModes": []any{"ReadWriteOnce"}, "storageClassName": "mayastor", "volumeName": v.pv(),
			"resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}},
		},
		"status": map[string]any{"phase": "Bound"},
	}
	pv := map[string]any{
		"apiVersion": "v1", "kind": "PersistentVolume",
		"metadata": map[string]any{"name": v.pv()},
		"spec": map[string]any{
			"accessModes": []any{"ReadWriteOnce"}, "storageClassName": "mayastor",
			"capacity": map[string]any{"storage": "1Gi"},
			"claimRef": map[string]any{
				"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": space, "name": name, "uid": "c" + v.uuid[1:],
			},
			"csi":                           map[string]any{"driver": "io.openebs.csi-mayastor", "fsType": "ext4", "volumeHandle": v.uuid},
			"persistentVolumeReclaimPolicy": "Delete",
		},
		"status": map[string]any{"phase": "Bound"},
	}
	objects, err := driver.Objects(claim, pv)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if _, err := api.Put(o); err != nil {
			return fmt.Errorf("provision %s: %w", v.claim, err)
		}
	}
	return nil
}

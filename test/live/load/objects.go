package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/billyronks/couchestor/mayastor"
)

// The bookkeeping that the API server keeps of each writer makes most of an object.
const (
	volumeFields = `{"f:metadata":{"f:annotations":{".":{},"f:pv.kubernetes.io/provisioned-by":{},"f:volume.kubernetes.io/provisioner-deletion-secret-name":{},"f:volume.kubernetes.io/provisioner-deletion-secret-namespace":{}}},"f:spec":{"f:accessModes":{},"f:capacity":{".":{},"f:storage":{}},"f:claimRef":{".":{},"f:apiVersion":{},"f:kind":{},"f:name":{},"f:namespace":{},"f:resourceVersion":{},"f:uid":{}},"f:csi":{".":{},"f:driver":{},"f:fsType":{},"f:volumeAttributes":{".":{},"f:ioTimeout":{},"f:protocol":{},"f:repl":{},"f:storage.kubernetes.io/csiProvisionerIdentity":{}},"f:volumeHandle":{}},"f:nodeAffinity":{".":{},"f:required":{}},"f:persistentVolumeReclaimPolicy":{},"f:storageClassName":{},"f:volumeMode":{}}}`
	claimFields  = `{"f:metadata":{"f:labels":{".":{},"f:app.kubernetes.io/name":{},"f:example.com/tenant":{}}},"f:spec":{"f:accessModes":{},"f:resources":{"f:requests":{".":{},"f:storage":{}}},"f:storageClassName":{},"f:volumeMode":{}}}`
	boundFields  = `{"f:metadata":{"f:annotations":{".":{},"f:pv.kubernetes.io/bind-completed":{},"f:pv.kubernetes.io/bound-by-controller":{},"f:volume.beta.kubernetes.io/storage-provisioner":{},"f:volume.kubernetes.io/storage-provisioner":{}}},"f:spec":{"f:volumeName":{}}}`
)

// managed is an entry of managedFields.
func managed(manager, operation, version, fields, subresource string) string {
	s := fmt.Sprintf(`{"manager":%q,"operation":%q,"apiVersion":%q,"time":"2026-01-12T08:20:31Z","fieldsType":"FieldsV1","fieldsV1":%s`, manager, operation, version, fields)
	if subresource != "" {
		s += fmt.Sprintf(`,"subresource":%q`, subresource)
	}
	return s + "}"
}

var (
	volumeManaged = []string{
		managed("csi-provisioner", "Update", "v1", volumeFields, ""),
		managed("kube-controller-manager", "Update", "v1", `{"f:status":{"f:phase":{}}}`, "status"),
	}
	claimManaged = []string{
		managed("kube-controller-manager", "Update", "v1", boundFields, ""),
		managed("kube-controller-manager", "Update", "v1", `{"f:status":{"f:accessModes":{},"f:capacity":{".":{},"f:storage":{}},"f:phase":{}}}`, "status"),
		managed("kubectl-create", "Update", "v1", claimFields, ""),
	}
)

func (v *volume) claimKey() string { return v.space() + "/" + v.claim() }
func (v *volume) space() string    { return fmt.Sprintf("team-%02d", v.index%37) }
func (v *volume) claim() string    { return fmt.Sprintf("data-db-%d", v.index) }
func (v *volume) name() string     { return "pvc-" + v.uuid }
func (v *volume) tenant() string {
	if v.policy.index%2 == 0 {
		return "own"
	}
	return [...]string{"acme", "globex", "initech"}[v.index%3]
}

// persistentVolume is the object as the API server has it.
func (v *volume) persistentVolume(version int64) []byte {
	notes := map[string]string{
		"pv.kubernetes.io/provisioned-by":                            "io.openebs.csi-mayastor",
		"volume.kubernetes.io/provisioner-deletion-secret-name":      "",
		"volume.kubernetes.io/provisioner-deletion-secret-namespace": "",
	}
	v.mu.Lock()
	if v.attempt != "" {
		notes[mayastor.AttemptAnnotation] = v.attempt
	}
	if v.lastMigration != "" {
		notes[mayastor.LastMigrationAnnotation] = v.lastMigration
	}
	if v.touched > 0 {
		notes["example.com/checked"] = strconv.Itoa(v.touched)
	}
	v.mu.Unlock()
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"annotations":%s,"creationTimestamp":"2026-01-12T08:20:31Z","finalizers":["external-provisioner.volume.kubernetes.io/finalizer","kubernetes.io/pv-protection"],"managedFields":[%s],"name":%q,"resourceVersion":"%d","uid":"f%s"},"spec":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"10Gi"},"claimRef":{"apiVersion":"v1","kind":"PersistentVolumeClaim","name":%q,"namespace":%q,"resourceVersion":"48205","uid":%q},"csi":{"driver":"io.openebs.csi-mayastor","fsType":"ext4","volumeAttributes":{"ioTimeout":"30","protocol":"nvmf","repl":"%d","storage.kubernetes.io/csiProvisionerIdentity":"1734103812345-2891-io.openebs.csi-mayastor"},"volumeHandle":%q},"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"openebs.io/csi-node","operator":"In","values":["mayastor"]}]}]}},"persistentVolumeReclaimPolicy":"Delete","storageClassName":%q,"volumeMode":"Filesystem"},"status":{"lastPhaseTransitionTime":"2026-01-12T08:20:31Z","phase":"Bound"}}`,
		text(notes), strings.Join(volumeManaged, ","), v.name(), version, v.uuid[1:], v.claim(), v.space(), v.uuid, len(v.pools), v.uuid, v.policy.class())
}

// claimMetadata is that of the claim.
func (v *volume) claimMetadata(version int64) string {
	return fmt.Sprintf(`{"annotations":{"pv.kubernetes.io/bind-completed":"yes","pv.kubernetes.io/bound-by-controller":"yes","volume.beta.kubernetes.io/storage-provisioner":"io.openebs.csi-mayastor","volume.kubernetes.io/storage-provisioner":"io.openebs.csi-mayastor"},"creationTimestamp":"2026-01-12T08:20:28Z","finalizers":["kubernetes.io/pvc-protection"],"labels":{"app.kubernetes.io/name":"db","%s":%q},"managedFields":[%s],"name":%q,"namespace":%q,"resourceVersion":"%d","uid":%q}`,
		tenantLabel, v.tenant(), strings.Join(claimManaged, ","), v.claim(), v.space(), version, v.uuid)
}

// persistentVolumeClaim is the whole claim, and claimOnly its metadata alone, as one
// may ask for it.
func (v *volume) persistentVolumeClaim(version int64) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":%s,"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"10Gi"}},"storageClassName":%q,"volumeMode":"Filesystem","volumeName":%q},"status":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"10Gi"},"phase":"Bound"}}`,
		v.claimMetadata(version), v.policy.class(), v.name())
}

func (v *volume) claimOnly(version int64) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"meta.k8s.io/v1","kind":"PartialObjectMetadata","metadata":%s}`, v.claimMetadata(version))
}

// object is the policy with a status; its defaults are spelled out, as the API server
// does.
func (p *policy) object(version int64, status json.RawMessage) []byte {
	selector := map[string]any{"matchLabels": map[string]string{tenantLabel: "own"}}
	if p.index%2 == 1 {
		selector = map[string]any{"matchExpressions": []any{map[string]any{"key": tenantLabel, "operator": "NotIn", "values": []string{"own"}}}}
	}
	pools := func(tier string) any { return map[string]any{"matchLabels": map[string]string{tierLabel: tier}} }
	spec := map[string]any{
		"enabled": true, "dryRun": false, "pausePromotions": false, "pauseDemotions": false, "approval": "Auto",
		"storageClassName": p.class(), "volumeSelector": selector,
		"highWatermarkIOPS": 5000, "lowWatermarkIOPS": 500, "warmWatermarkIOPS": 0,
		"hotPoolSelector": pools("hot"), "coldPoolSelector": pools("cold"),
		"samplingWindow": short(p.window), "minCoverage": 80, "cooldownPeriod": "24h", "maxConcurrentMigrations": 2,
		"migrationTimeout": "30m", "allowReducedRedundancy": false, "volumesWithSnapshots": "Skip", "maxPoolUsedPercent": 90, "priority": 0,
	}
	if p.warm {
		spec["warmWatermarkIOPS"], spec["warmPoolSelector"] = 2000, pools("warm")
	}
	o := map[string]any{
		"apiVersion": "storage.billyronks.io/v1", "kind": "StoragePolicy",
		"metadata": map[string]any{
			"name": p.name, "uid": p.uid, "generation": 1, "resourceVersion": strconv.FormatInt(version, 10), "creationTimestamp": "2026-01-12T08:00:00Z",
			"finalizers":    []string{"metacontroller.io/compositecontroller-storagepolicy"},
			"managedFields": []json.RawMessage{json.RawMessage(managed("kubectl", "Apply", "storage.billyronks.io/v1", text(map[string]any{"f:spec": fields(spec)}), ""))},
		},
		"spec": spec,
	}
	if status != nil {
		o["status"] = status
	}
	return []byte(text(o))
}

// fields are the managedFields of a flat object.
func fields(of map[string]any) map[string]any {
	all := map[string]any{}
	for name := range of {
		all["f:"+name] = map[string]any{}
	}
	return all
}

// diskPool is the object of a pool.
func diskPool(media, tier string, n int, version int64) []byte {
	name := pool(media, n)
	return []byte(text(map[string]any{
		"apiVersion": "openebs.io/v1beta3", "kind": "DiskPool",
		"metadata": map[string]any{
			"name": name, "namespace": "mayastor", "uid": fmt.Sprintf("d15c0000-0000-4000-8000-%012d", n), "generation": 1, "resourceVersion": strconv.FormatInt(version, 10),
			"labels": map[string]string{tierLabel: tier}, "creationTimestamp": "2026-01-12T07:00:00Z", "finalizers": []string{"openebs.io/diskpool-protection"},
			"managedFields": []json.RawMessage{json.RawMessage(managed("operator-diskpool", "Update", "openebs.io/v1beta3", `{"f:status":{"f:available":{},"f:capacity":{},"f:cr_state":{},"f:pool_status":{},"f:used":{}}}`, "status"))},
		},
		"spec":   map[string]any{"node": node(n), "disks": []string{"/dev/disk/by-id/" + media + "-eui.0025385391b2c3d4"}},
		"status": map[string]any{"cr_state": "Created", "pool_status": "Online", "capacity": 1 << 40, "used": 1 << 38, "available": 1<<40 - 1<<38},
	}))
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // what is given here always marshals
	}
	return string(b)
}

// short prints a duration as users write it.
func short(d time.Duration) string {
	if d%time.Hour == 0 {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dm", d/time.Minute)
}

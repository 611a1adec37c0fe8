package hooks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/billyronks/couchestor/mayastor"
)

// noon is when the tests happen.
var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// object is a Kubernetes object as JSON.
type object map[string]any

// at returns the part at a path of keys, made where it is not.
func (o object) at(path ...string) object {
	for _, key := range path {
		inner, ok := o[key].(object)
		if !ok {
			inner = object{}
			o[key] = inner
		}
		o = inner
	}
	return o
}

func (o object) clone() object {
	c := maps.Clone(o)
	for k, v := range c {
		if inner, ok := v.(object); ok {
			c[k] = inner.clone()
		}
	}
	return c
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// uuid returns the uuid of test volume i.
func uuid(i int) string { return fmt.Sprintf("5e1f0000-0000-4000-8000-%012d", i) }

// scene is the world that a request shows.
type scene struct {
	policy     object
	children   map[string]object
	jobs       map[string]object
	volumes    map[string]object
	claims     map[string]object
	policies   map[string]object
	diskPools  map[string]object
	finalizing bool
}

const policyUID = "0b6f3c5e-6f0e-4a53-9a55-0e9b3f7a1c11"

func newScene() *scene {
	s := &scene{
		policy: newPolicy("db", policyUID), children: map[string]object{}, jobs: map[string]object{},
		volumes: map[string]object{}, claims: map[string]object{}, policies: map[string]object{}, diskPools: map[string]object{},
	}
	s.policies["db"] = s.policy
	return s
}

func newPolicy(name, uid string) object {
	return object{
		"apiVersion": "storage.billyronks.io/v1", "kind": "StoragePolicy",
		"metadata": object{"name": name, "uid": uid, "generation": 3, "creationTimestamp": stamp(noon.Add(-30 * 24 * time.Hour))},
		"spec": object{
			"hotPoolSelector":  object{"matchLabels": object{"tier": "hot"}},
			"coldPoolSelector": object{"matchLabels": object{"tier": "cold"}},
		},
	}
}

// volume adds a PersistentVolume bound to a claim, and returns it.
func (s *scene) volume(i int) object {
	name := "pvc-" + uuid(i)
	claim := fmt.Sprintf("data-%d", i)
	claimUID := uuid(i)
	v := object{
		"apiVersion": "v1", "kind": "PersistentVolume",
		"metadata": object{
			"name": name, "uid": fmt.Sprintf("f0000000-0000-4000-8000-%012d", i),
			"creationTimestamp": stamp(noon.Add(-20 * 24 * time.Hour)), "resourceVersion": "48211",
			"annotations": object{"pv.kubernetes.io/provisioned-by": "io.openebs.csi-mayastor"},
			"finalizers":  []any{"kubernetes.io/pv-protection"},
		},
		"spec": object{
			"storageClassName": "mayastor", "capacity": object{"storage": "10Gi"}, "accessModes": []any{"ReadWriteOnce"},
			"persistentVolumeReclaimPolicy": "Delete", "volumeMode": "Filesystem",
			"csi":      object{"driver": "io.openebs.csi-mayastor", "volumeHandle": uuid(i), "fsType": "ext4", "volumeAttributes": object{"repl": "2"}},
			"claimRef": object{"kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": "shop", "name": claim, "uid": claimUID},
		},
		"status": object{"phase": "Bound"},
	}
	s.volumes[name] = v
	s.claims["shop/"+claim] = object{
		"apiVersion": "v1", "kind": "PersistentVolumeClaim",
		"metadata": object{"namespace": "shop", "name": claim, "uid": claimUID, "labels": object{"app": "db"}},
		"spec":     object{"volumeName": name},
	}
	return v
}

// remember writes the annotation by which a migrator marks its volume.
func (s *scene) remember(i int, a mayastor.Attempt) {
	s.volumes["pvc-"+uuid(i)].at("metadata", "annotations")[mayastor.AttemptAnnotation] = text(a)
}

// job returns attempt n at volume i as this service makes it and the API server
// keeps it; it is in no list yet.
func newJob(i int, n int64, policy, uid string) object {
	name := nameJob(uuid(i), n)
	return object{
		"apiVersion": "batch/v1", "kind": "Job",
		"metadata": object{
			"name": name, "namespace": "couchestor-system", "uid": fmt.Sprintf("job-%d-%d", i, n),
			"creationTimestamp": stamp(noon.Add(-10 * time.Minute)),
			"labels": object{
				selectorLabel: uid, PolicyLabel: policy, VolumeLabel: uuid(i), FromTierLabel: "cold", ToTierLabel: "hot",
			},
			"annotations": object{ScoreAnnotation: "6120.5", GenerationAnnotation: "3"},
		},
		"spec":   object{"backoffLimit": 20},
		"status": object{"active": 1, "startTime": stamp(noon.Add(-10 * time.Minute))},
	}
}

// run adds a Job of the policy that asks, to its children and, as it carries our
// labels, to the related Jobs.
func (s *scene) run(i int, n int64) object {
	j := newJob(i, n, "db", policyUID)
	key := "couchestor-system/" + nameJob(uuid(i), n)
	s.children[key], s.jobs[key] = j, j
	return j
}

// foreign adds a Job of another policy.
func (s *scene) foreign(i int, n int64, policy string) object {
	j := newJob(i, n, policy, "another-uid")
	s.jobs["couchestor-system/"+nameJob(uuid(i), n)] = j
	return j
}

// report puts a result on a Job.
func report(j object, r mayastor.Result) {
	r.Volume = j.at("metadata", "labels")[VolumeLabel].(string)
	j.at("metadata", "annotations")[mayastor.ResultAnnotation] = text(r)
}

// ended puts a condition on a Job that is True.
func ended(j object, kind, reason string, at time.Time) {
	j["status"] = object{"conditions": []any{
		object{"type": "FailureTarget", "status": "True", "reason": reason, "lastTransitionTime": stamp(at)},
		object{"type": kind, "status": "True", "reason": reason, "message": "Job has ended.", "lastTransitionTime": stamp(at)},
	}}
}

// status puts the status of an answer into the next request.
func (s *scene) status(status json.RawMessage) {
	var o map[string]any
	if err := json.Unmarshal(status, &o); err != nil {
		panic(err)
	}
	s.policy["status"] = o
}

// body is the request as Metacontroller sends it (MC 2.2).
func (s *scene) body() []byte { return inOrder(s.tree()) }

// apiBody is the request as Metacontroller sends it to a service that asked for
// nothing.
func (s *scene) apiBody() []byte {
	tree := s.tree()
	tree["related"] = object{}
	return inOrder(tree)
}

// inOrder is a request with its members in the order of Metacontroller, or in
// another one.
func inOrder(tree object, order ...string) []byte {
	if order == nil {
		order = []string{"controller", "parent", "children", "related", "finalizing"}
	}
	b := []byte("{")
	for _, name := range order {
		if value, ok := tree[name]; ok {
			b = fmt.Appendf(b, "%q:%s,", name, text(value))
		}
	}
	return append(bytes.TrimSuffix(b, []byte(",")), '}')
}

func (s *scene) tree() object {
	related := object{volumesKey: s.volumes, claimsKey: s.claims, policiesKey: s.policies, jobsKey: s.jobs}
	if len(s.diskPools) > 0 {
		related["DiskPool.openebs.io/v1beta3"] = s.diskPools
	}
	return object{
		"controller": object{"apiVersion": "metacontroller.k8s.io/v1alpha1", "kind": "CompositeController", "metadata": object{"name": "storagepolicy"}},
		"parent":     s.policy,
		"children":   object{jobsKey: s.children},
		"related":    related,
		"finalizing": s.finalizing,
	}
}

// managedFields is what the API server keeps of each writer of a volume.
func managedFields() []any {
	const provisioner = `{"f:metadata":{"f:annotations":{".":{},"f:pv.kubernetes.io/provisioned-by":{},"f:volume.kubernetes.io/provisioner-deletion-secret-name":{},"f:volume.kubernetes.io/provisioner-deletion-secret-namespace":{}}},"f:spec":{"f:accessModes":{},"f:capacity":{".":{},"f:storage":{}},"f:claimRef":{".":{},"f:apiVersion":{},"f:kind":{},"f:name":{},"f:namespace":{},"f:resourceVersion":{},"f:uid":{}},"f:csi":{".":{},"f:driver":{},"f:fsType":{},"f:volumeAttributes":{".":{},"f:ioTimeout":{},"f:protocol":{},"f:repl":{},"f:storage.kubernetes.io/csiProvisionerIdentity":{}},"f:volumeHandle":{}},"f:nodeAffinity":{".":{},"f:required":{}},"f:persistentVolumeReclaimPolicy":{},"f:storageClassName":{},"f:volumeMode":{}}}`
	return []any{
		object{"manager": "csi-provisioner", "operation": "Update", "apiVersion": "v1", "time": stamp(noon), "fieldsType": "FieldsV1", "fieldsV1": json.RawMessage(provisioner)},
		object{"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1", "time": stamp(noon), "fieldsType": "FieldsV1", "fieldsV1": json.RawMessage(`{"f:status":{"f:phase":{}}}`), "subresource": "status"},
	}
}

// crowd returns a scene of n volumes as large as those of a real cluster, each
// with a claim; without claims if asked so.
func crowd(n int, claims bool) *scene {
	s := newScene()
	for i := range n {
		s.bulky(i + 1)
	}
	if !claims {
		s.claims = map[string]object{}
	}
	return s
}

// bulky adds a volume as large as that of a real cluster.
func (s *scene) bulky(i int) {
	v := s.volume(i)
	m := v.at("metadata")
	m["managedFields"] = managedFields()
	m.at("annotations")["volume.kubernetes.io/provisioner-deletion-secret-name"] = ""
	m.at("annotations")["volume.kubernetes.io/provisioner-deletion-secret-namespace"] = ""
	v.at("spec")["nodeAffinity"] = object{"required": object{"nodeSelectorTerms": []any{object{"matchExpressions": []any{object{"key": "openebs.io/csi-node", "operator": "In", "values": []any{"mayastor"}}}}}}}
	v.at("spec", "csi")["volumeAttributes"] = object{"ioTimeout": "30", "protocol": "nvmf", "repl": "2", "storage.kubernetes.io/csiProvisionerIdentity": "1734103812345-2891-io.openebs.csi-mayastor"}
}

func decodeScene(t testing.TB, body []byte) (*request, error) {
	t.Helper()
	d := newDecoder(newBytesReader(body))
	d.claims = true
	return d.request(func(*parent) error { return nil })
}

func jsonInto(from, into any) error { return json.Unmarshal([]byte(text(from)), into) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

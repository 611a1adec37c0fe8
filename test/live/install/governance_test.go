package install

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/billyronks/couchestor/tiering"
)

func governance(t testing.TB, set objects) tiering.Governance {
	t.Helper()
	out, faults := tiering.ParseGovernance(as[corev1.ConfigMap](t, set, "ConfigMap "+tiering.GovernanceName).Data)
	for _, fault := range faults {
		t.Errorf("governance: %v", fault)
	}
	for _, zone := range tiering.ResolveZones(out.Windows, time.LoadLocation) {
		t.Errorf("governance: time zone %s is not known", zone)
	}
	return out
}

func TestTheGovernanceOfEachInstallationHasNoFaults(t *testing.T) {
	for name, set := range all(t).installations {
		t.Run(name, func(t *testing.T) {
			got := governance(t, set)
			// Whoever applies the manifests in an emergency must not end it.
			if _, set := as[corev1.ConfigMap](t, set, "ConfigMap "+tiering.GovernanceName).Data["emergencyStop"]; set || got.Stop.On {
				t.Error("the emergency stop is set in a manifest")
			}
		})
	}
	base := governance(t, all(t).kustomizations["base"])
	if base.NewPolicyDryRun != 168*time.Hour || base.ThresholdChangeDryRun != 24*time.Hour {
		t.Errorf("got dry runs of %s and %s, want those that hold without the ConfigMap's keys", base.NewPolicyDryRun, base.ThresholdChangeDryRun)
	}
}

// Without the ConfigMap nothing new starts, but the pod does: it has to answer for
// Jobs that run.
func TestTheServiceStartsWithoutItsGovernance(t *testing.T) {
	for name, set := range all(t).installations {
		pod, container := service(t, set)
		path := variable(container, "COUCHESTOR_CONFIG")
		found := false
		for _, v := range pod.Spec.Volumes {
			if v.ConfigMap == nil || v.ConfigMap.Name != tiering.GovernanceName {
				continue
			}
			found = v.ConfigMap.Optional != nil && *v.ConfigMap.Optional
			for _, m := range container.VolumeMounts {
				// A file of its own would be mounted once and never change.
				if m.Name == v.Name && (m.MountPath != path || m.SubPath != "") {
					t.Errorf("%s: the governance is mounted at %s %s, the service reads %s", name, m.MountPath, m.SubPath, path)
				}
			}
		}
		if !found {
			t.Errorf("%s: no optional volume of ConfigMap %s", name, tiering.GovernanceName)
		}
	}
}

func TestThePoliciesOfAClusterAreInsideOfItsRanges(t *testing.T) {
	for _, cluster := range clusters {
		set := all(t).kustomizations["clusters/"+cluster]
		governed := tiering.Governed{Governance: governance(t, set)}
		for name, policy := range each[tiering.StoragePolicy](t, set, "StoragePolicy") {
			compiled, faults := tiering.Compile(name, 1, time.Time{}, policy.Spec)
			if len(faults) > 0 {
				t.Fatalf("%s: %s: %v", cluster, name, faults)
			}
			if outside := governed.Outside(&compiled); len(outside) > 0 {
				t.Errorf("%s: %s is outside of what is approved: %s", cluster, name, strings.Join(outside, ", "))
			}
		}
	}
}

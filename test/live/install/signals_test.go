package install

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/billyronks/couchestor/manifests"
)

// prometheusRule has the fields of the Prometheus operator's kind that are used
// here; what the rules say is tested in package signals.
type prometheusRule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Groups []struct {
			Name     string `json:"name"`
			Interval string `json:"interval"`
			Rules    []struct {
				Alert       string            `json:"alert"`
				Expr        string            `json:"expr"`
				For         string            `json:"for"`
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"rules"`
		} `json:"groups"`
	} `json:"spec"`
}

func TestTheSidecarOfGrafanaFindsTheDashboard(t *testing.T) {
	want, err := manifests.Files.ReadFile("components/dashboard/couchestor.json")
	if err != nil {
		t.Fatal(err)
	}
	found := as[corev1.ConfigMap](t, all(t).with["dashboard"], "ConfigMap couchestor-dashboard")
	if got := found.Labels["grafana_dashboard"]; got != "1" {
		t.Errorf("got label grafana_dashboard %q, want 1", got)
	}
	if diff := cmp.Diff(found.Data, map[string]string{"couchestor.json": string(want)}); diff != "" {
		t.Errorf("what is installed (-) what is tested (+):\n%s", diff)
	}
}

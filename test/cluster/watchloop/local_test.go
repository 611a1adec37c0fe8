package watchloop

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/test/cluster/rig"
)

// shipped is the CompositeController of the manifests.
func shipped(t *testing.T) []byte {
	t.Helper()
	root, err := rig.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "manifests", "base", "compositecontroller.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheShippedControllerCallsAnAddressOnThisMachine(t *testing.T) {
	local, err := Local(shipped(t), map[string]string{"couchestor.couchestor-system:8080": "127.0.0.1:1234"})
	if err != nil {
		t.Fatal(err)
	}
	var was, now object
	for text, to := range map[string]*object{string(shipped(t)): &was, string(local): &now} {
		if err := yaml.Unmarshal([]byte(text), to); err != nil {
			t.Fatal(err)
		}
	}
	for _, hook := range []string{"sync", "finalize", "customize"} {
		path := at(was, "spec", "hooks", hook, "webhook", "path").(string)
		webhook := at(now, "spec", "hooks", hook, "webhook").(object)
		if got, want := webhook["url"], "http://127.0.0.1:1234"+path; got != want {
			t.Errorf("%s is called at %v, want %s", hook, got, want)
		}
		if webhook["service"] != nil || webhook["path"] != nil || webhook["timeout"] == nil {
			t.Errorf("%s has %v, want neither service nor path, and the timeout", hook, webhook)
		}
		unstructured.RemoveNestedField(was, "spec", "hooks", hook, "webhook")
		unstructured.RemoveNestedField(now, "spec", "hooks", hook, "webhook")
	}
	if diff := cmp.Diff(now, was); diff != "" {
		t.Errorf("the rest changed, got before want:\n%s", diff)
	}
}

func TestAServiceThatNothingAnswersForIsNamed(t *testing.T) {
	_, err := Local(shipped(t), map[string]string{"other.couchestor-system:8080": "127.0.0.1:1234"})
	if err == nil || !strings.Contains(err.Error(), "couchestor.couchestor-system:8080") {
		t.Errorf("got %v, want an error that names the service", err)
	}
}

package manifests

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Who copies the template means to start from what Jobs are.
func TestTheJobTemplateToCopyIsTheBuiltInOne(t *testing.T) {
	got, want := string(readFile(t, "components/job-template/job.yaml")), string(readFile(t, "../hooks/job.yaml"))
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("job template (-got +want):\n%s", diff)
	}
}

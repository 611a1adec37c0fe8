package admission

import (
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
)

// Structural schema, defaults, printer columns, and each CEL rule compiled and
// within the cost that the API server allows to one rule and to all of them.
func TestTheAPIServerAcceptsTheDefinition(t *testing.T) {
	if errs := validation.ValidateCustomResourceDefinition(t.Context(), readCRD(t)); len(errs) > 0 {
		t.Errorf("got %d errors: %v", len(errs), errs.ToAggregate())
	}
}

package main

import (
	"strings"
	"testing"
)

func TestNoTwoProcessesHaveOneName(t *testing.T) {
	t.Setenv("POD_NAME", "couchestor-x-1-abcde")
	a, b := holder(), holder()
	if a == b || !strings.HasPrefix(a, "couchestor-x-1-abcde-") {
		t.Errorf("got %s and %s, want the pod's name and an end of its own", a, b)
	}
}

package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestMain lets this program be the probe of its own limits, as the command does.
func TestMain(m *testing.M) {
	if probing() {
		probe()
		return
	}
	m.Run()
}

func TestLoadOfAHundredVolumesKeepsItsBudgetsInBothModes(t *testing.T) {
	var out, talk bytes.Buffer
	err := run(t.Context(), []string{
		"--volumes", "100", "--policies", "4", "--for", "3s", "--every", "1s", "--crossing", "500ms",
	}, &out, &talk)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, &talk, &out)
	}
	t.Logf("%s\n%s", &talk, &out)
	for _, want := range []string{"mode requests", "mode api", "| 100 | requests |", "| 100 | api |", `"quietStatusWrites":0`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nowhere in what was printed: %s", want)
		}
	}
}

// Package golden compares what a test made with a file that somebody looked at.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew") //nolint:gochecknoglobals // a flag of go test is one for the whole program

// Check fails the test unless the file has just what is given. With -update the file
// is written first.
func Check[T string | []byte](tb testing.TB, file string, got T) {
	tb.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		tb.Fatalf("%v; run with -update to write it", err)
	}
	if diff := cmp.Diff(string(got), string(want)); diff != "" {
		tb.Errorf("%s (-got +want), run with -update if it is right:\n%s", file, diff)
	}
}

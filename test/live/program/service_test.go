package program

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// lines is what was written, each Write as one.
type lines []string

func (l *lines) Write(p []byte) (int, error) {
	*l = append(*l, string(p))
	return len(p), nil
}

func start(t *testing.T, script string, also *lines) (s *Service, log string) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "service.log")
	s, err := Start(exec.CommandContext(t.Context(), "/bin/sh", "-c", script), log, also)
	if err != nil {
		t.Fatal(err)
	}
	return s, log
}

func TestServiceThatEndsUnaskedTellsHowAndWhereItsLogIs(t *testing.T) {
	for script, how := range map[string]string{"exit 3": "(exit status 3)", "exit 0": "(exit status 0)", "kill -9 $$": "(signal: killed)"} {
		var heard lines
		s, log := start(t, "echo one >&2; printf two >&2; "+script, &heard)
		err := s.Ready(t.Context())
		if err == nil || !strings.Contains(err.Error(), how) || !strings.Contains(err.Error(), log) {
			t.Errorf("got %v, want %s and %s", err, how, log)
		}
		if text, err := os.ReadFile(log); string(text) != "one\ntwo" {
			t.Errorf("the log is %q, %v", text, err)
		}
		if diff := cmp.Diff(heard, lines{"one\n", "two"}); diff != "" {
			t.Error(diff)
		}
	}
}

// What the Go runtime says of its collections goes to the same pipe, in pieces, so
// that a line of the log can begin behind one of them.
func TestServiceIsReadyOnceItSaysSo(t *testing.T) {
	tries := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tries++; r.URL.Path != "/readyz" || tries < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer web.Close()
	ops := strings.TrimPrefix(web.URL, "http://")
	// exec, so that the signal reaches what sleeps.
	s, _ := start(t, `echo 'gc 1 @0.013s 6%: 0.1{"msg":"serving","hooks":"h:1","ops":"`+ops+`"}' >&2; exec sleep 100`, &lines{})
	if err := s.Ready(t.Context()); err != nil || tries != 3 || s.Hooks != "h:1" || s.Ops != ops {
		t.Errorf("got %v after %d tries, hooks %q, ops %q", err, tries, s.Hooks, s.Ops)
	}
	if err := s.Stop(); err == nil || err.Error() != "signal: terminated" || !s.Gone() {
		t.Errorf("got %v, want how it ended", err)
	}
}

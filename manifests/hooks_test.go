package manifests

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/billyronks/couchestor/hooks"
	"github.com/billyronks/couchestor/tiering"
)

// unread is a world of which nothing is known.
type unread struct{}

func (unread) Scores(context.Context, time.Duration) tiering.Scores { return tiering.Scores{} }
func (unread) Mayastor(context.Context) hooks.Mayastor              { return hooks.Mayastor{} }

func TestMetacontrollerAsksForRoutesThatTheHooksHave(t *testing.T) {
	h, err := hooks.New(hooks.Config{
		Sources: unread{}, Namespace: "couchestor-system", Image: "billyronks/couchestor:v0.1.0",
		Limits: tiering.Limits{MaxConcurrentMigrations: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	status := func(path string) int {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader("{"))
		request.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		h.Routes().ServeHTTP(answer, request)
		return answer.Code
	}
	var controller struct {
		Spec struct {
			Hooks map[string]struct {
				Webhook struct{ Path string }
			}
		}
	}
	if err := yaml.Unmarshal(readFile(t, "base/compositecontroller.yaml"), &controller); err != nil {
		t.Fatal(err)
	}
	if got := len(controller.Spec.Hooks); got != 3 {
		t.Errorf("got %d hooks, want sync, finalize and customize", got)
	}
	for name, hook := range controller.Spec.Hooks {
		if got, want := hook.Webhook.Path, hooks.Prefix+"/"+name; got != want {
			t.Errorf("got path %s, want %s", got, want)
		}
		// A truncated request is a fault of the request where there is a route.
		if got := status(hook.Webhook.Path); got != http.StatusBadRequest {
			t.Errorf("%s: got status %d for half a request, want 400", hook.Webhook.Path, got)
		}
	}
	if got := status(hooks.Prefix + "/none"); got != http.StatusNotFound {
		t.Errorf("got status %d for a route that is none, want 404", got)
	}
}

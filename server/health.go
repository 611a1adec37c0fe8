package server

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/billyronks/couchestor/server/world"
)

// live says that the process answers. It depends on nothing, so that a source
// that is down never has the service killed.
func live(w http.ResponseWriter, _ *http.Request) { line(w, http.StatusOK, "ok") }

// ready says whether hooks are answered: the configuration is valid, or the
// service would not run, each source was tried once, and Kubernetes was read where
// it has to be, as there is no answer without volumes. A source that is down
// is told here but changes nothing: it is a condition, a metric and an alert,
// and the hook has to be there to say so.
func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	states := s.sources.states()
	status, verdict := http.StatusOK, "ready"
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(states)) {
		st := states[name]
		switch {
		case !st.Tried && name == world.SourceKubernetes:
			status, verdict = http.StatusServiceUnavailable, "not ready: each source has to be tried once"
			fmt.Fprintf(&b, "\n%s: %s", name, s.sources.kubernetes.Waiting())
		case !st.Tried:
			status, verdict = http.StatusServiceUnavailable, "not ready: each source has to be tried once"
			fmt.Fprintf(&b, "\n%s: not tried yet", name)
		case st.Up:
			fmt.Fprintf(&b, "\n%s: up", name)
		default:
			fmt.Fprintf(&b, "\n%s: down", name)
		}
	}
	line(w, status, "%s%s", verdict, b.String())
}

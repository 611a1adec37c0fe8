package hooks

import "sync"

// attempts remembers which volumes of the service's own view each policy has
// attempted, as every sync of every policy asks for its own. All methods may be
// called at once.
type attempts struct {
	mu sync.Mutex
	// of are the volumes of the view; the list is never changed.
	of       []*volume
	byPolicy map[string][]*volume
}

// attempted returns all volumes whose memory says that the policy was the last to
// attempt them, in the order of names, and maybe others.
func (h *Hooks) attempted(q *request) []*volume {
	if h.config.Cluster == nil {
		return q.Related.Volumes // They do not come again.
	}
	return h.attempts.by(q.Parent.Name, q.Related.Volumes)
}

func (a *attempts) by(policy string, volumes []*volume) []*volume {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !same(a.of, volumes) {
		a.of, a.byPolicy = volumes, make(map[string][]*volume)
		for _, v := range volumes {
			if last := &v.Memory.Attempt; last.N > 0 {
				a.byPolicy[last.Policy] = append(a.byPolicy[last.Policy], v)
			}
		}
	}
	return a.byPolicy[policy]
}

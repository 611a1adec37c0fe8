package simulator

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one method of one path.
type route struct {
	method, path string // path relative to /v0, as in OpenAPI
	since        Profile
	handle       func(*Simulator, *Request) *answer
	core         bool   // needs the core agent
	forbidden    string // why the caller must never use it
	segments     []string
}

const (
	ownedByCSI   = "the target belongs to CSI"
	outsideBooks = "it bypasses the volume's bookkeeping"
	notOurs      = "it changes what is not the caller's"
)

// routesOf lists the routes of a profile.
func routesOf(profile Profile) []route {
	get, put, del := http.MethodGet, http.MethodPut, http.MethodDelete
	all := []route{
		{method: get, path: "/volumes", handle: getVolumes},
		{method: get, path: "/volumes/snapshots", handle: getSnapshots},
		{method: get, path: "/volumes/snapshots/{snapshot_id}", handle: getSnapshot},
		{method: get, path: "/volumes/{volume_id}", handle: getVolume},
		{method: get, path: "/volumes/{volume_id}/rebuild-history", handle: getRebuildHistory},
		{method: get, path: "/volumes/{volume_id}/snapshots", handle: getSnapshots},
		{method: get, path: "/volumes/{volume_id}/snapshots/{snapshot_id}", handle: getSnapshot},
		{method: put, path: "/volumes/{volume_id}/replica_count/{replica_count}", handle: putReplicaCount},
		{method: get, path: "/pools", handle: getPools},
		{method: get, path: "/pools/{pool_id}", handle: getPool},
		{method: put, path: "/pools/{pool_id}/label/{key}={value}", handle: putPoolLabel},
		{method: del, path: "/pools/{pool_id}/label/{key}", handle: deletePoolLabel},
		{method: put, path: "/pools/{pool_id}/cordon", since: V2_10, handle: putPoolCordon},
		{method: del, path: "/pools/{pool_id}/cordon", since: V2_10, handle: deletePoolCordon},
		{method: get, path: "/nodes", handle: getNodes},
		{method: get, path: "/nodes/{node_id}", handle: getNode},
		{method: get, path: "/nodes/{node_id}/pools", handle: getNodePools},
		{method: get, path: "/nodes/{node_id}/pools/{pool_id}", handle: getPool},
		{method: get, path: "/nodes/{node_id}/replicas", handle: getReplicas},
		{method: put, path: "/nodes/{node_id}/cordon/{label}", handle: putNodeCordon},
		{method: del, path: "/nodes/{node_id}/cordon/{label}", handle: deleteNodeCordon},
		{method: put, path: "/nodes/{node_id}/label/{key}={value}", handle: putNodeLabel},
		{method: del, path: "/nodes/{node_id}/label/{key}", handle: deleteNodeLabel},
		{method: get, path: "/replicas", handle: getReplicas},
		{method: get, path: "/replicas/{replica_id}", handle: getReplica},
		{method: get, path: "/nexuses", handle: getNexuses},
		{method: get, path: "/nexuses/{nexus_id}", handle: getNexus},
		{method: get, path: "/specs", handle: getSpecs},

		{method: put, path: "/volumes/{volume_id}", handle: forbiddenConflict, forbidden: notOurs},
		{method: del, path: "/volumes/{volume_id}", handle: deleteVolumeCall, forbidden: notOurs},
		{method: put, path: "/volumes/{volume_id}/target", handle: putTarget, forbidden: ownedByCSI},
		{method: del, path: "/volumes/{volume_id}/target", handle: deleteTarget, forbidden: ownedByCSI},
		{method: del, path: "/volumes/{volume_id}/shutdown_targets", handle: forbiddenConflict, forbidden: ownedByCSI},
		{method: put, path: "/volumes/{volume_id}/share/{protocol}", handle: forbiddenConflict, forbidden: ownedByCSI},
		{method: put, path: "/volumes/{volume_id}/size", handle: putSize, forbidden: notOurs},
		{method: put, path: "/volumes/{volume_id}/property", handle: forbiddenConflict, forbidden: notOurs},
		{method: put, path: "/volumes/{volume_id}/snapshots/{snapshot_id}", handle: forbiddenConflict, forbidden: notOurs},
		{method: del, path: "/volumes/{volume_id}/snapshots/{snapshot_id}", handle: forbiddenConflict, forbidden: notOurs},
		{method: del, path: "/volumes/snapshots/{snapshot_id}", handle: forbiddenConflict, forbidden: notOurs},
		{method: put, path: "/snapshots/{snapshot_id}/volumes/{volume_id}", handle: forbiddenConflict, forbidden: notOurs},
		{method: put, path: "/nodes/{node_id}/drain/{label}", handle: putDrain, forbidden: ownedByCSI},
		{method: put, path: "/nodes/{node_id}/pools/{pool_id}", handle: forbiddenConflict, forbidden: notOurs},
		{method: del, path: "/nodes/{node_id}/pools/{pool_id}", handle: forbiddenConflict, forbidden: notOurs},
		{method: del, path: "/pools/{pool_id}", handle: forbiddenConflict, forbidden: notOurs},
	}
	for _, prefix := range []string{"/pools/{pool_id}/replicas/{replica_id}", "/nodes/{node_id}/pools/{pool_id}/replicas/{replica_id}"} {
		all = append(all,
			route{method: put, path: prefix, handle: forbiddenConflict, forbidden: outsideBooks},
			route{method: del, path: prefix, handle: deleteReplicaCall, forbidden: outsideBooks},
			route{method: put, path: prefix + "/share/nvmf", handle: forbiddenConflict, forbidden: outsideBooks},
			route{method: del, path: prefix + "/share", handle: forbiddenConflict, forbidden: outsideBooks})
	}
	for _, prefix := range []string{"/nexuses/{nexus_id}", "/nodes/{node_id}/nexuses/{nexus_id}"} {
		all = append(all,
			route{method: put, path: prefix, handle: forbiddenConflict, forbidden: outsideBooks},
			route{method: del, path: prefix, handle: forbiddenConflict, forbidden: outsideBooks},
			route{method: put, path: prefix + "/children/{child_id}", handle: forbiddenConflict, forbidden: outsideBooks},
			route{method: del, path: prefix + "/children/{child_id}", handle: deleteChildCall, forbidden: outsideBooks})
	}
	var own []route
	for _, r := range all {
		if r.since != "" && !profile.atLeast(r.since) {
			continue
		}
		r.core = true
		r.segments = strings.Split("v0"+r.path, "/")
		own = append(own, r)
	}
	plain := []route{
		{method: get, path: "/v0/api/spec", handle: getAPISpec},
		{method: get, path: "/metrics", handle: getMetrics},
		{method: get, path: "/metrics/{node_id}", handle: getMetrics},
	}
	for _, r := range plain {
		r.segments = strings.Split(r.path[1:], "/")
		own = append(own, r)
	}
	return own
}

// route finds the handler of req and the values of its path. Until 2.12.1 the
// delete, cordon and drain routes had no place for a slash in their last part.
func (s *Simulator) route(req *Request) (*route, map[string]string) {
	segments := strings.Split(strings.TrimPrefix(req.Path, "/"), "/")
	for i := range s.routes {
		rt := &s.routes[i]
		if rt.method != req.Method {
			continue
		}
		got := segments
		if last := rt.segments[len(rt.segments)-1]; last == "{key}" || last == "{label}" {
			got = slices.Clone(segments)
			if n := len(rt.segments); s.cfg.Profile.atLeast(V2_12) && len(got) > n {
				got = append(got[:n-1], strings.Join(got[n-1:], "%2F"))
			} else if !s.cfg.Profile.atLeast(V2_12) && strings.Contains(strings.ToUpper(got[len(got)-1]), "%2F") {
				continue
			}
		}
		if params, ok := fit(rt.segments, got); ok {
			return rt, params
		}
	}
	return nil, nil
}

// fit matches the segments of a route and takes its parameters, unescaped.
func fit(want, got []string) (map[string]string, bool) {
	if len(want) != len(got) {
		return nil, false
	}
	params := map[string]string{}
	for i, w := range want {
		if !strings.HasPrefix(w, "{") {
			if w != got[i] {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(got[i])
		if err != nil || value == "" {
			return nil, false
		}
		if w == "{key}={value}" {
			// The escaped text is cut, so that an escaped = belongs to the value or key.
			k, v, found := strings.Cut(got[i], "=")
			if !found {
				return nil, false
			}
			params["key"], _ = url.PathUnescape(k)
			params["value"], _ = url.PathUnescape(v)
			continue
		}
		params[strings.Trim(w, "{}")] = value
	}
	return params, true
}

// volumeIn is the volume a path is about, empty if none.
func volumeIn(path string) string {
	rest, found := strings.CutPrefix(path, "/v0/volumes/")
	if !found {
		return ""
	}
	id, _, _ := strings.Cut(rest, "/")
	if !isUUID(id) {
		return ""
	}
	return id
}

// isUUID says whether id is a uuid as upstream parses it.
func isUUID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i, c := range id {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case !strings.ContainsRune("0123456789abcdefABCDEF", c):
			return false
		}
	}
	return true
}

// getAPISpec serves the OpenAPI document: honest, or what Claims says.
func getAPISpec(s *Simulator, _ *Request) *answer {
	profile, edits := s.cfg.Profile, []string(nil)
	if s.cfg.Claims != "" {
		edits = strings.Split(s.cfg.Claims, ",")
		if !strings.ContainsAny(edits[0][:min(1, len(edits[0]))], "+-") {
			profile, edits = Profile(edits[0]), edits[1:]
		}
	}
	paths := map[string]map[string]any{}
	for _, rt := range routesOf(profile) {
		if !rt.core {
			continue
		}
		if paths[rt.path] == nil {
			paths[rt.path] = map[string]any{}
		}
		paths[rt.path][strings.ToLower(rt.method)] = map[string]any{"responses": map[string]any{"200": map[string]any{"description": "OK"}}}
	}
	for _, e := range edits {
		path, remove := strings.CutPrefix(e, "-")
		if remove {
			delete(paths, path)
			continue
		}
		op := map[string]any{"responses": map[string]any{"200": map[string]any{"description": "OK"}}}
		paths[strings.TrimPrefix(e, "+")] = map[string]any{"put": op, "delete": op}
	}
	return ok(map[string]any{
		"openapi": "3.0.3", "info": map[string]any{"title": "IoEngine RESTful API", "version": "v0"},
		"servers": []map[string]string{{"url": "/v0"}}, "paths": paths,
	})
}

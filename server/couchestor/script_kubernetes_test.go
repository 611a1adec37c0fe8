package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/testscript"
)

// startKubernetes serves what a sync request relates, and its parent, as lists.
// Watches stay open and tell nothing. The governance is a file, if one is given.
func startKubernetes(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, !neg && len(args) > 0 && len(args) < 3, "kubernetes FILE [CONFIGMAP]")
	var request struct {
		Parent  json.RawMessage
		Related map[string]map[string]json.RawMessage
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &request))
	lists := map[string][]json.RawMessage{}
	for path, key := range map[string]string{
		"/api/v1/persistentvolumes": "PersistentVolume.v1", "/api/v1/persistentvolumeclaims": "PersistentVolumeClaim.v1",
		"/apis/batch/v1/jobs": "Job.batch/v1", policyListPath: "StoragePolicy.storage.billyronks.io/v1",
	} {
		lists[path] = []json.RawMessage{}
		for _, name := range slices.Sorted(maps.Keys(request.Related[key])) {
			lists[path] = append(lists[path], request.Related[key][name])
		}
	}
	lists[policyListPath] = append(lists[policyListPath], request.Parent)

	governance := ""
	if len(args) > 1 {
		governance = ts.ReadFile(args[1])
	}

	var changes atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		items, ok := lists[r.URL.Path]
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method != http.MethodGet:
			changes.Add(1)
		case governance != "" && r.URL.Path == "/api/v1/namespaces/couchestor-system/configmaps/couchestor-governance":
			fmt.Fprint(w, governance)
		case !ok:
			status(w, http.StatusNotFound, "NotFound")
		case r.FormValue("sendInitialEvents") == "true":
			status(w, http.StatusUnprocessableEntity, "Invalid")
		case r.FormValue("watch") == "true":
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{"metadata": map[string]any{"resourceVersion": "7"}, "items": items})
		}
	}))
	ts.Defer(func() {
		srv.Close()
		if n := changes.Load(); n > 0 {
			ts.Fatalf("the command sent Kubernetes %d requests that are no reads", n)
		}
	})
	file := ts.MkAbs("kubeconfig")
	ts.Check(os.WriteFile(file, fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Config", "current-context": "c",
"clusters": [{"name": "c", "cluster": {"server": %q}}], "contexts": [{"name": "c", "context": {"cluster": "c"}}]}`, srv.URL), 0o600))
	ts.Setenv("KUBECONFIG", file)
}

const policyListPath = "/apis/storage.billyronks.io/v1/storagepolicies"

func status(w http.ResponseWriter, code int, reason string) {
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": %d, "reason": %q}`, code, reason)
}

package simulator

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func flags(c PoolCordon) string {
	out, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return string(out)
}

func TestMS3_3PoolCordonIsOrAndAndNotAnd422WhenNothingChanges(t *testing.T) {
	replicas, snapshots, both := PoolCordon{Replicas: true}, PoolCordon{Snapshots: true}, PoolCordon{Replicas: true, Snapshots: true}
	play(t, Config{}, 1, func(w *world) {
		const path = "/v0/pools/sata-1/cordon"
		for _, step := range []struct {
			why    string
			method string
			body   PoolCordon
			status int
			kind   string
			left   PoolCordon
		}{
			{"nothing asked is nothing changed", "PUT", PoolCordon{}, 422, "AlreadyExists", PoolCordon{}},
			{"a true flag is set", "PUT", replicas, 200, "", replicas},
			{"setting it again changes nothing", "PUT", replicas, 422, "AlreadyExists", replicas},
			{"flags are OR-ed, false ones stay", "PUT", snapshots, 200, "", both},
			{"one of two new is a change", "PUT", PoolCordon{Replicas: true, Restores: true}, 200, "", PoolCordon{Replicas: true, Snapshots: true, Restores: true}},
			{"false flags clear nothing", "DELETE", PoolCordon{}, 422, "AlreadyExists", PoolCordon{Replicas: true, Snapshots: true, Restores: true}},
			{"true flags are cleared", "DELETE", PoolCordon{Restores: true, Replicas: true}, 200, "", snapshots},
			{"clearing them again changes nothing", "DELETE", replicas, 422, "AlreadyExists", snapshots},
			{"the last one leaves no cordon", "DELETE", snapshots, 200, "", PoolCordon{}},
		} {
			w.want(step.method, path, flags(step.body), step.status, step.kind)
			if got := w.Cordons().Pools["sata-1"]; got != step.left {
				t.Errorf("%s: got %+v, want %+v", step.why, got, step.left)
			}
		}
		if got := w.pool("sata-1").Spec.CordonDrain; got != nil {
			t.Errorf("got %+v, want no cordonDrain when all flags are false", got)
		}
		w.want("PUT", "/v0/pools/nope/cordon", flags(replicas), 404, "NotFound")
		w.want("PUT", path, `{`, 400, "Deserialize")
		w.want("DELETE", path, ``, 400, "Deserialize")
		w.noViolations()
	})
}

func TestMS3_3PoolCordonExistsSince2_10(t *testing.T) {
	everyProfile(t, func(t *testing.T, p Profile) {
		play(t, Config{Profile: p}, 1, func(w *world) {
			status, body := w.send("PUT", "/v0/pools/sata-1/cordon", flags(PoolCordon{Replicas: true}))
			want := 200
			if p == Old || p == V2_9 {
				want = 404
			}
			if status != want || want == 404 && body != "" {
				t.Errorf("got %d %q, want %d", status, body, want)
			}
			spec := read[struct {
				Paths map[string]any `json:"paths"`
			}](w, "/v0/api/spec")
			if _, listed := spec.Paths["/pools/{pool_id}/cordon"]; listed != (want == 200) {
				t.Errorf("/v0/api/spec lists the cordon: %v, want %v", listed, want == 200)
			}
		})
	})
}

func TestMS3_3APoolCordonSurvivesRestartsAndKeepsReplicasOffOnly(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		v := w.Published(gib, "sata-1")
		for _, p := range []string{"sata-2", "sata-1"} {
			w.want("PUT", "/v0/pools/"+p+"/cordon", flags(PoolCordon{Replicas: true}), 200, "")
		}
		w.CoreRestart()
		settle()
		w.act(w.RestartIOEngine("node-2"))
		settle()
		want := Cordons{Pools: map[string]PoolCordon{"sata-1": {Replicas: true}, "sata-2": {Replicas: true}}, Nodes: map[string][]string{}}
		if d := cmp.Diff(w.Cordons(), want); d != "" {
			t.Errorf("(-got +want):\n%s", d)
		}
		w.scale(v, 2)
		w.wantOn(v, "nvme-2", "sata-1")
		if got := w.volume(v).State.Target.Children[0].State; got != "Online" {
			t.Errorf("the replica on the cordoned pool is %s, want Online", got)
		}
	})
}

func TestMS3_3AnImportCordonKeepsAPoolAwayAfterARestart(t *testing.T) {
	play(t, Config{}, 2, func(w *world) {
		w.want("PUT", "/v0/pools/sata-2/cordon", flags(PoolCordon{Import: true}), 200, "")
		if got := w.Violations(); len(got) != 1 || !strings.Contains(got[0], "import:true") {
			t.Errorf("got violations %q, want one about import", got)
		}
		w.act(w.RestartIOEngine("node-2"))
		if got := w.pool("sata-2").State; got != nil {
			t.Errorf("got %+v, want no state: it was not imported", got)
		}
	})
}

func TestMS3_4Labels(t *testing.T) {
	for _, object := range []string{"pools/sata-1", "nodes/node-1"} {
		t.Run(object, func(t *testing.T) {
			play(t, Config{}, 1, func(w *world) {
				path := "/v0/" + object + "/label/"
				labels := func() map[string]string {
					if strings.HasPrefix(object, "pools") {
						return w.pool("sata-1").Spec.Labels
					}
					return read[nodeJSON](w, "/v0/nodes/node-1").Spec.Labels
				}
				before := labels()
				w.want("PUT", path+"rack=a", "", 200, "")
				w.want("PUT", path+"rack=a", "", 200, "") // same value: idempotent
				w.want("PUT", path+"rack=b", "", 412, "FailedPrecondition")
				w.want("PUT", path+"rack=b&?overwrite=maybe", "", 400, "Deserialize")
				w.want("PUT", path+"rack=b?overwrite=true", "", 200, "")
				w.want("PUT", path+"e=x%3Dy%20z", "", 200, "")
				want := map[string]string{"rack": "b", "e": "x=y z"}
				maps.Copy(want, before)
				if d := cmp.Diff(labels(), want); d != "" {
					t.Errorf("(-got +want):\n%s", d)
				}
				w.want("DELETE", path+"rack", "", 200, "")
				w.want("DELETE", path+"rack", "", 412, "FailedPrecondition")
				w.want("DELETE", path, "", 404, "")
				w.noViolations()
			})
		})
	}
}

func TestMS3_4TheOperatorsLabelIsReserved(t *testing.T) {
	play(t, Config{Profile: V2_12}, 1, func(w *world) {
		w.want("DELETE", "/v0/pools/sata-1/label/openebs.io%2Fcreated-by", "", 400, "InvalidArgument")
		if got := w.Violations(); len(got) != 1 {
			t.Errorf("got violations %q, want one for the attempt to delete it", got)
		}
		// PUT has no guard: it works, and drops the pool out of every topology.
		w.want("PUT", "/v0/pools/sata-1/label/openebs.io%2Fcreated-by=me?overwrite=true", "", 200, "")
		if got := w.Violations(); len(got) != 2 {
			t.Errorf("got violations %q, want one more for overwriting it", got)
		}
	})
}

func TestMS3_4SlashesOnDeleteAndCordonRoutesNeed2_12(t *testing.T) {
	everyProfile(t, func(t *testing.T, p Profile) {
		play(t, Config{Profile: p}, 1, func(w *world) {
			w.want("PUT", "/v0/pools/sata-1/label/a%2Fb=c", "", 200, "")
			for _, slash := range []string{"%2F", "/"} {
				label := slash + "x" + map[string]string{"/": "1", "%2F": "2"}[slash]
				status, _ := w.send("PUT", "/v0/nodes/node-1/cordon/mine"+label, "")
				if want := map[bool]int{true: 200, false: 404}[p == V2_12]; status != want {
					t.Errorf("cordon with %q: got %d, want %d", slash, status, want)
				}
			}
			status, _ := w.send("DELETE", "/v0/pools/sata-1/label/a%2Fb", "")
			if want := map[bool]int{true: 200, false: 404}[p == V2_12]; status != want {
				t.Errorf("delete: got %d, want %d", status, want)
			}
		})
	})
}

func TestMS3_5NodeCordonLabelsHaveOwners(t *testing.T) {
	everyProfile(t, func(t *testing.T, p Profile) {
		play(t, Config{Profile: p}, 2, func(w *world) {
			const path = "/v0/nodes/node-2/cordon/"
			w.act(w.ForeignNodeCordon("node-2", "theirs"))
			w.want("PUT", path+"mine", "", 200, "")
			w.want("PUT", path+"mine", "", 412, "FailedPrecondition")
			want := &nodeCordonStateJSON{CordonedState: &cordonLabelsJSON{[]string{"theirs", "mine"}}}
			if d := cmp.Diff(read[nodeJSON](w, "/v0/nodes/node-2").Spec.CordonDrainState, want); d != "" {
				t.Errorf("(-got +want):\n%s", d)
			}
			v := w.Published(gib, "sata-1")
			w.want("PUT", count(v, 2), "", 507, "ResourceExhausted")
			w.want("DELETE", path+"mine", "", 200, "")
			w.want("DELETE", path+"mine", "", 412, "FailedPrecondition")
			w.want("PUT", count(v, 2), "", 507, "ResourceExhausted") // theirs holds
			if got := w.Cordons().Nodes; !slices.Equal(got["node-2"], []string{"theirs"}) {
				t.Errorf("got cordons %v, want theirs unchanged", got)
			}
			if err := w.HASwitchover(v, "node-2"); err == nil {
				t.Error("a cordoned node took a target")
			}
			w.noViolations()
		})
	})
}

func TestMS3_6And3_7ForbiddenCallsAreRecordedAndAnsweredAsUpstreamDoes(t *testing.T) {
	tests := []struct {
		name, method string
		path         func(v volumeJSON) string
		body         string
		status       int
		kind         string
	}{
		{"deleting a volume's replica", "DELETE", func(v volumeJSON) string {
			return "/v0/pools/sata-1/replicas/" + slices.Sorted(maps.Keys(v.State.ReplicaTopology))[0]
		}, "", 0, ""},
		{"deleting a nexus child", "DELETE", func(v volumeJSON) string {
			return "/v0/nexuses/" + v.State.Target.UUID + "/children/" + strings.ReplaceAll(strings.ReplaceAll(v.State.Target.Children[1].URI, "/", "%2F"), "?", "%3F")
		}, "", 204, ""},
		{"publishing", "PUT", func(v volumeJSON) string { return "/v0/volumes/" + v.Spec.UUID + "/target" }, `{"publish_context":{},"protocol":"nvmf"}`, 412, "AlreadyPublished"},
		{"unpublishing", "DELETE", func(v volumeJSON) string { return "/v0/volumes/" + v.Spec.UUID + "/target?force=true" }, "", 200, ""},
		{"resizing", "PUT", func(v volumeJSON) string { return "/v0/volumes/" + v.Spec.UUID + "/size" }, `{"size":21474836480}`, 200, ""},
		{"deleting the volume", "DELETE", func(v volumeJSON) string { return "/v0/volumes/" + v.Spec.UUID }, "", 204, ""},
		{"draining a node", "PUT", func(volumeJSON) string { return "/v0/nodes/node-1/drain/x" }, "", 200, ""},
		{"sharing", "PUT", func(v volumeJSON) string { return "/v0/volumes/" + v.Spec.UUID + "/share/nvmf" }, "", 409, "Conflict"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play(t, Config{}, 3, func(w *world) {
				uuid := w.Published(gib, "sata-1", "sata-2")
				v := w.volume(uuid)
				if tt.status == 0 { // whichever replica sorts first: it is in use or not on that pool
					if status, _ := w.send(tt.method, tt.path(v), ""); status != 409 && status != 404 {
						t.Errorf("got %d, want a refusal", status)
					}
				} else {
					w.want(tt.method, tt.path(v), tt.body, tt.status, tt.kind)
				}
				if got := w.Violations(); len(got) == 0 || !strings.Contains(got[0], tt.method) {
					t.Errorf("got violations %q, want one that names the call", got)
				}
			})
		})
	}
}

func TestMS3_7AVolumesReplicaIsRefusedButItsChildGoesAndTheReconcilerMendsIt(t *testing.T) {
	play(t, Config{}, 3, func(w *world) {
		v := w.Published(gib, "sata-1", "sata-2")
		second := w.Truth(v)[1]
		w.want("DELETE", "/v0/pools/sata-2/replicas/"+second.UUID, "", 409, "InUse")
		nexus := w.volume(v).State.Target
		uri := strings.NewReplacer("/", "%2F", "?", "%3F").Replace(nexus.Children[1].URI)
		w.want("DELETE", "/v0/nexuses/"+nexus.UUID+"/children/"+uri, "", 204, "")
		if got := w.volume(v); got.State.Status != "Degraded" || len(got.State.ReplicaTopology) != 2 {
			t.Errorf("got %s with %d replicas, want Degraded with both", got.State.Status, len(got.State.ReplicaTopology))
		}
		var lost bool
		for _, s := range w.Violations() {
			lost = lost || strings.Contains(s, "left 1 fully synced copies where 2 must stay")
		}
		if !lost {
			t.Errorf("got violations %q, want one about the copy", w.Violations())
		}
		settle()
		if got := w.Synced(v); got != 2 {
			t.Errorf("got %d synced after self-heal, want 2", got)
		}
		local := strings.NewReplacer("/", "%2F", "?", "%3F").Replace(nexus.Children[0].URI)
		w.act(w.UserScale(v, 1))
		w.want("DELETE", "/v0/nexuses/"+nexus.UUID+"/children/"+local, "", 412, "FailedPrecondition")
	})
}

func TestAServerCanLieAboutItsRoutes(t *testing.T) {
	paths := func(t *testing.T, cfg Config) (list []string) {
		play(t, cfg, 1, func(w *world) {
			spec := read[struct {
				Paths map[string]map[string]any `json:"paths"`
			}](w, "/v0/api/spec")
			list = slices.Sorted(maps.Keys(spec.Paths))
		})
		return list
	}
	const cordon, drain = "/pools/{pool_id}/cordon", "/pools/{pool_id}/drain"
	for _, tt := range []struct {
		cfg           Config
		cordon, drain bool
	}{
		{Config{Profile: Old, Claims: "2.10"}, true, false},
		{Config{Profile: V2_10, Claims: "old"}, false, false},
		{Config{Profile: V2_10, Claims: "+" + drain}, true, true},
		{Config{Profile: V2_10, Claims: "2.12,-" + cordon + ",+" + drain}, false, true},
	} {
		got := paths(t, tt.cfg)
		if slices.Contains(got, cordon) != tt.cordon || slices.Contains(got, drain) != tt.drain {
			t.Errorf("%+v claims %v", tt.cfg, got)
		}
	}
	play(t, Config{Profile: Old, Claims: "2.10"}, 1, func(w *world) {
		w.want(http.MethodPut, "/v0/pools/sata-1/cordon", flags(PoolCordon{Replicas: true}), 404, "")
	})
}

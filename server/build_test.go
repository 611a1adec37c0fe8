package server

import (
	"runtime/debug"
	"testing"
)

func TestBuildIsReadFromTheProgram(t *testing.T) {
	setting := func(kv ...string) (all []debug.BuildSetting) {
		for i := 0; i < len(kv); i += 2 {
			all = append(all, debug.BuildSetting{Key: kv[i], Value: kv[i+1]})
		}
		return all
	}
	for _, c := range []struct {
		name string
		info debug.BuildInfo
		want Build
	}{
		{
			"a release", debug.BuildInfo{
				GoVersion: "go1.26.8", Main: debug.Module{Version: "v1.2.3"},
				Settings: setting("vcs.revision", "abc", "vcs.time", "2026-01-02T03:04:05Z", "vcs.modified", "false"),
			}, Build{Version: "v1.2.3", Revision: "abc", Time: "2026-01-02T03:04:05Z", Go: "go1.26.8"},
		},
		{
			"a tree with changes", debug.BuildInfo{
				GoVersion: "go1.26.8", Main: debug.Module{Version: "(devel)"},
				Settings: setting("vcs.modified", "true", "vcs.revision", "abc"),
			}, Build{Version: "(devel)", Revision: "abc-dirty", Go: "go1.26.8"},
		},
		{"nothing recorded", debug.BuildInfo{}, Build{Version: "(devel)", Revision: "unknown"}},
		{
			"changes without a revision",
			debug.BuildInfo{Settings: setting("vcs.modified", "true")},
			Build{Version: "(devel)", Revision: "unknown"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := buildOf(&c.info); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

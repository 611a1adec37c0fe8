package server

import (
	"cmp"
	"runtime/debug"
)

// Build is what the running program was built from.
type Build struct {
	// Version is the module's version, (devel) for a build of a working tree
	// without one.
	Version string `json:"version"`
	// Revision is the commit, with "-dirty" after it if the tree had changes;
	// "unknown" where the build did not record it.
	Revision string `json:"revision"`
	// Time of the commit in RFC 3339, "" where the build did not record it.
	Time string `json:"time,omitempty"`
	// Go is the version of the compiler.
	Go string `json:"go"`
}

// ReadBuild reads it from the program itself, which needs no linker flags.
func ReadBuild() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{Version: "unknown", Revision: "unknown", Go: "unknown"}
	}
	return buildOf(info)
}

func buildOf(info *debug.BuildInfo) Build {
	b := Build{Version: cmp.Or(info.Main.Version, "(devel)"), Revision: "unknown", Go: info.GoVersion}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty && b.Revision != "unknown" {
		b.Revision += "-dirty"
	}
	return b
}

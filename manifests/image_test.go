package manifests

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dockerfile returns the instructions of each stage, comments and continued
// lines resolved.
func dockerfile(t *testing.T) [][]string {
	t.Helper()
	text := string(readFile(t, "../Dockerfile"))
	text = regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(text, "")
	text = regexp.MustCompile(`\\\n\s*`).ReplaceAllString(text, "")
	var stages [][]string
	for line := range strings.SplitSeq(text, "\n") {
		switch {
		case line == "":
		case strings.HasPrefix(line, "FROM "):
			stages = append(stages, []string{line})
		case len(stages) == 0:
			t.Fatalf("%q comes before the first stage", line)
		default:
			stages[len(stages)-1] = append(stages[len(stages)-1], line)
		}
	}
	return stages
}

// buildCommand returns the environment and the arguments with which the image's
// binary is built.
func buildCommand(t *testing.T) (env, args []string) {
	t.Helper()
	for _, line := range dockerfile(t)[0] {
		command, ok := strings.CutPrefix(line, "RUN ")
		if !ok || !strings.Contains(command, "go build") {
			continue
		}
		before, after, _ := strings.Cut(command, "go build ")
		// No argument holds a space but the linker's flags, in double quotes.
		for _, word := range regexp.MustCompile(`[^\s"]*"[^"]*"|\S+`).FindAllString(after, -1) {
			args = append(args, strings.ReplaceAll(word, `"`, ""))
		}
		return strings.Fields(before), args
	}
	t.Fatal("the Dockerfile builds no binary")
	return nil, nil
}

// binary builds couchestor as the image has it, for this machine.
func binary(t *testing.T) string {
	t.Helper()
	env, args := buildCommand(t)
	at := slices.Index(args, "-o")
	if at < 0 || at+1 >= len(args) {
		t.Fatalf("got arguments %q, want one -o", args)
	}
	args[at+1] = filepath.Join(t.TempDir(), "couchestor")
	build := exec.CommandContext(t.Context(), "go", append([]string{"build", "-buildvcs=false"}, args...)...)
	build.Dir = ".."
	build.Env = append(os.Environ(), slices.DeleteFunc(env, func(v string) bool { return strings.Contains(v, "$") })...)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return args[at+1]
}

func TestTheImageHoldsOneBinaryAndNoShell(t *testing.T) {
	stages := dockerfile(t)
	if len(stages) != 2 {
		t.Fatalf("got %d stages, want 2", len(stages))
	}
	env, args := buildCommand(t)
	if diff := cmp.Diff(env, []string{"CGO_ENABLED=0", "GOOS=$TARGETOS", "GOARCH=$TARGETARCH"}); diff != "" {
		t.Errorf("environment of the build (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(args, []string{"-trimpath", "-ldflags=-s -w", "-o", "/couchestor", "./server/couchestor"}); diff != "" {
		t.Errorf("arguments of the build (-got +want):\n%s", diff)
	}
	if got, want := stages[0][0], "FROM --platform=$BUILDPLATFORM golang:"; !strings.HasPrefix(got, want) {
		t.Errorf("got build stage %q, want %s...: the build is native, whatever is built for", got, want)
	}
	want := []string{
		"FROM scratch",
		"COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/",
		"COPY --from=build /couchestor /couchestor",
		"USER 65532:65532",
		`ENTRYPOINT ["/couchestor"]`,
		`CMD ["serve"]`,
	}
	if diff := cmp.Diff(stages[1], want); diff != "" {
		t.Errorf("final stage (-got +want):\n%s", diff)
	}
}

func TestTheBinaryIsStaticAndSaysNothingOfWhereItWasBuilt(t *testing.T) {
	file := binary(t)
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["CGO_ENABLED"] != "0" || settings["-trimpath"] != "true" {
		t.Errorf("got CGO_ENABLED=%q -trimpath=%q, want 0 and true", settings["CGO_ENABLED"], settings["-trimpath"])
	}
	image, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(image, []byte(root+"/")) {
		t.Errorf("the binary holds the path %s: another checkout would give other bytes", root)
	}
	program, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	for _, segment := range program.Progs {
		if segment.Type == elf.PT_INTERP {
			t.Error("the binary wants a dynamic loader, and the image has none")
		}
	}
	if libraries, err := program.ImportedLibraries(); err == nil && len(libraries) > 0 {
		t.Errorf("the binary wants %q, and the image has no libraries", libraries)
	}
}

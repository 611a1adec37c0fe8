package manifests

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"io/fs"
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

// binary builds couchestor from the checkout in a directory as the image has it,
// for this machine.
func binary(t *testing.T, dir string) string {
	t.Helper()
	env, args := buildCommand(t)
	at := slices.Index(args, "-o")
	if at < 0 || at+1 >= len(args) {
		t.Fatalf("got arguments %q, want one -o", args)
	}
	args[at+1] = filepath.Join(t.TempDir(), "couchestor")
	build := exec.CommandContext(t.Context(), "go", append([]string{"build", "-buildvcs=false"}, args...)...)
	build.Dir = dir
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
	file := binary(t, "..")
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

// Whoever doubts an image can build it again and compare.
func TestTwoCheckoutsGiveTheSameBytes(t *testing.T) {
	other := filepath.Join(t.TempDir(), "elsewhere")
	for _, name := range []string{"go.mod", "go.sum"} {
		copyFile(t, filepath.Join("..", name), filepath.Join(other, name))
	}
	for _, dir := range []string{"hooks", "mayastor", "server", "tiering"} {
		err := filepath.WalkDir(filepath.Join("..", dir), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			copyFile(t, path, filepath.Join(other, strings.TrimPrefix(path, "..")))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	first, second := sum(t, binary(t, "..")), sum(t, binary(t, other))
	if first != second {
		t.Errorf("got sum %s here and %s in another directory, want the same", first, second)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, readFile(t, from), 0o600); err != nil {
		t.Fatal(err)
	}
}

func sum(t *testing.T, file string) string {
	t.Helper()
	return fmt.Sprintf("%x", sha256.Sum256(readFile(t, file)))
}

// engine puts a program of that name on a path of its own; it writes down its
// arguments, and its check fails unless it runs.
func engine(t *testing.T, dir, name string, runs bool) {
	t.Helper()
	status := "0"
	if !runs {
		status = "1"
	}
	script := "#!/bin/sh\n[ \"$1\" = info ] && exit " + status + "\necho ran " + name + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestTheImageIsBuiltWithTheEngineThatRuns(t *testing.T) {
	epoch := "0" // where git cannot read the checkout
	if commit, err := exec.CommandContext(t.Context(), "git", "log", "-1", "--format=%ct").Output(); err == nil {
		epoch = strings.TrimSpace(string(commit))
	}
	const args = "build --platform linux/arm64 --build-arg TARGETOS=linux --build-arg TARGETARCH=arm64 --tag registry.example/c:v1 "
	tests := []struct {
		name    string
		engines map[string]bool // those that are installed, and whether they run
		chosen  string
		want    string
		fails   bool
	}{
		{"docker runs", map[string]bool{"docker": true, "podman": true}, "", "ran docker " + args + "--build-arg SOURCE_DATE_EPOCH=" + epoch + " .", false},
		{"docker has no daemon", map[string]bool{"docker": false, "podman": true}, "", "ran podman " + args + "--timestamp " + epoch + " .", false},
		{"only buildah", map[string]bool{"buildah": true}, "", "ran buildah " + args + "--timestamp " + epoch + " .", false},
		{"the one that was asked for", map[string]bool{"docker": true, "podman": true}, "podman", "ran podman " + args, false},
		{"none", nil, "", "this would be run:\n  docker " + args, true},
		{"none that runs", map[string]bool{"docker": false}, "", "no\nimage was built", true},
		{"one that is none", nil, "make", "ENGINE is make; give docker, podman or buildah", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, runs := range test.engines {
				engine(t, dir, name, runs)
			}
			for _, name := range []string{"bash", "env", "dirname", "git", "cat"} {
				path, err := exec.LookPath(name)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			build := exec.CommandContext(t.Context(), "../tools/image")
			build.Env = []string{"PATH=" + dir, "HOME=" + os.Getenv("HOME"), "IMAGE=registry.example/c", "TAG=v1", "ARCH=arm64", "ENGINE=" + test.chosen}
			out, err := build.CombinedOutput()
			if (err != nil) != test.fails || !strings.Contains(string(out), test.want) {
				t.Errorf("got %v,\n%s\nwant %q, failure: %t", err, out, test.want, test.fails)
			}
		})
	}
}

package tiering

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// sources parses the package without its tests.
func sources(t *testing.T) (*token.FileSet, []*ast.File) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(fset, name, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if len(files) < 15 {
		t.Fatalf("only %d files were found", len(files))
	}
	return fset, files
}

func TestThePackageImportsNothingThatActsOrLooks(t *testing.T) {
	allowed := map[string]string{
		"cmp": "", "errors": "", "fmt": "", "maps": "", "math": "", "slices": "", "strconv": "", "strings": "",
		"unique":                                        "one copy of equal sentences; what is there already decides nothing",
		"time":                                          "for Time and Duration; no clock, see the test below",
		"crypto/sha256":                                 "digests",
		"encoding/hex":                                  "digests",
		"k8s.io/apimachinery/pkg/apis/meta/v1":          "Condition, LabelSelector, Time",
		"k8s.io/apimachinery/pkg/api/resource":          "quantities, as text",
		"k8s.io/apimachinery/pkg/labels":                "selectors",
		"k8s.io/apimachinery/pkg/selection":             "their operators",
		"k8s.io/apimachinery/pkg/runtime":               "RawExtension",
		"k8s.io/apimachinery/pkg/util/validation/field": "paths in faults",
	}
	fset, files := sources(t)
	for _, f := range files {
		for _, spec := range f.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := allowed[path]; !ok {
				t.Errorf("%s imports %s: the core does no I/O, logs nothing and knows no client; if it must, argue it in this table", fset.Position(spec.Pos()), path)
			}
		}
	}
}

// What apimachinery brings along is its own affair, but no client and no
// Prometheus must come with the core.
func TestNoClientComesWithThePackage(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 50 {
		t.Fatalf("only %d dependencies were listed", len(deps))
	}
	for _, dep := range deps {
		for _, bad := range []string{"k8s.io/client-go", "github.com/prometheus/", "github.com/go-chi/", "k8s.io/api/"} {
			if strings.HasPrefix(dep+"/", bad) {
				t.Errorf("the core depends on %s", dep)
			}
		}
		if strings.HasPrefix(dep, "github.com/billyronks/couchestor/") && !strings.HasSuffix(dep, "/tiering") {
			t.Errorf("the core depends on %s of ours", dep)
		}
	}
}

func TestThePackageReadsNoClockAndKeepsNoState(t *testing.T) {
	clock := map[string]bool{
		"Now": true, "Since": true, "Until": true, "After": true, "AfterFunc": true, "Sleep": true, "LoadLocation": true,
		"Tick": true, "NewTimer": true, "NewTicker": true,
	}
	fset, files := sources(t)
	for _, f := range files {
		for _, decl := range f.Decls {
			if g, ok := decl.(*ast.GenDecl); ok && g.Tok == token.VAR {
				t.Errorf("%s: a variable of the package outlives a decision", fset.Position(g.Pos()))
			}
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.Name == "init" {
				t.Errorf("%s: init runs before anybody asked", fset.Position(fn.Pos()))
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				pkg, ok := n.X.(*ast.Ident)
				if ok && (pkg.Name == "time" && clock[n.Sel.Name] || pkg.Name == "metav1" && n.Sel.Name == "Now") {
					t.Errorf("%s calls %s.%s: now is a field of the input", fset.Position(n.Pos()), pkg.Name, n.Sel.Name)
				}
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", fset.Position(n.Pos()))
			case *ast.CallExpr:
				if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "panic" {
					t.Errorf("%s panics", fset.Position(n.Pos()))
				}
			}
			return true
		})
	}
}

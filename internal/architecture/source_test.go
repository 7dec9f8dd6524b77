// SPDX-License-Identifier: Apache-2.0

package architecture

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// moduleRoot is where go test runs this package, seen from here.
const moduleRoot = "../.."

// mayReadClock are the trees whose code may ask for the time: the clock, and
// what stands outside the pipeline. All others are handed their times, so that
// their tests decide what time it is.
var mayReadClock = []string{"internal/clock", "internal/testutil", "cmd/...", "scripts/..."}

// clockReads are the functions that read a clock, by import path.
var clockReads = map[string][]string{
	"time":                  {"Now", "Since", "Until"},
	"golang.org/x/sys/unix": {"ClockGettime", "Gettimeofday", "Time"},
	"syscall":               {"Gettimeofday", "Time"},
}

func TestSource(t *testing.T) {
	files := 0
	err := filepath.WalkDir(moduleRoot, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			name := entry.Name()
			if path != moduleRoot && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		name, err := filepath.Rel(moduleRoot, path)
		if err != nil {
			return err
		}
		for _, problem := range sourceProblems(t, filepath.ToSlash(name), src) {
			t.Error(problem)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatal("no Go files found")
	}
}

// sourceProblems reports clock reads where none are allowed, and init functions.
func sourceProblems(t *testing.T, name string, src []byte) []string {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	problems := initFunctions(set, file)
	dir := strings.TrimSuffix(name, "/"+filepath.Base(name))
	if !matchesAny(mayReadClock, dir) {
		problems = append(problems, clockReadsIn(set, file)...)
	}
	return problems
}

func initFunctions(set *token.FileSet, file *ast.File) []string {
	var problems []string
	for _, decl := range file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			problems = append(problems, at(set, fn.Pos())+": no init functions: say it in main or a constructor")
		}
	}
	return problems
}

// clockReadsIn finds uses of clockReads, called or passed as a value, under
// whatever name the package was imported.
func clockReadsIn(set *token.FileSet, file *ast.File) []string {
	watched := map[string]string{} // local name → import path
	var problems []string
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil || clockReads[path] == nil {
			continue
		}
		local := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			local = spec.Name.Name
		}
		if local == "." {
			problems = append(problems, at(set, spec.Pos())+": no dot import of "+path)
			continue
		}
		watched[local] = path
	}
	ast.Inspect(file, func(node ast.Node) bool {
		sel, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := sel.X.(*ast.Ident)
		if ok && slices.Contains(clockReads[watched[pkg.Name]], sel.Sel.Name) {
			problems = append(problems, fmt.Sprintf("%s: only internal/clock calls %s.%s: take the time as an argument",
				at(set, sel.Pos()), pkg.Name, sel.Sel.Name))
		}
		return true
	})
	return problems
}

func at(set *token.FileSet, pos token.Pos) string {
	p := set.Position(pos)
	return fmt.Sprintf("%s:%d", p.Filename, p.Line)
}

// The rules find what they are there to find.
func TestSourceRulesDetect(t *testing.T) {
	const clockRule = "only internal/clock calls "
	const hint = ": take the time as an argument"
	tests := []struct {
		name, file, src string
		want            []string
	}{
		{"call", "pkg/stats/a.go", "package a\nimport \"time\"\nvar x = time.Now()\n",
			[]string{"pkg/stats/a.go:3: " + clockRule + "time.Now" + hint}},
		{"value", "pkg/stats/a.go", "package a\nimport \"time\"\nvar now = time.Now\n",
			[]string{"pkg/stats/a.go:3: " + clockRule + "time.Now" + hint}},
		{"renamed", "internal/agent/a.go", "package a\nimport t \"time\"\nfunc f(x t.Time) { t.Since(x) }\n",
			[]string{"internal/agent/a.go:3: " + clockRule + "t.Since" + hint}},
		{"dot", "pkg/stats/a.go", "package a\nimport . \"time\"\n",
			[]string{"pkg/stats/a.go:2: no dot import of time"}},
		{"unix", "pkg/stats/a.go", "package a\nimport \"golang.org/x/sys/unix\"\nvar x = unix.ClockGettime\n",
			[]string{"pkg/stats/a.go:3: " + clockRule + "unix.ClockGettime" + hint}},
		{"init", "cmd/probe/a.go", "package a\nfunc init() {}\n",
			[]string{"cmd/probe/a.go:2: no init functions: say it in main or a constructor"}},
		{"clock", "internal/clock/a.go", "package a\nimport \"time\"\nvar x = time.Now()\n", nil},
		{"cmd", "cmd/probe/a.go", "package a\nimport \"time\"\nvar x = time.Now()\n", nil},
		{"harmless", "pkg/stats/a.go", "package a\nimport \"time\"\nvar x = time.Unix(0, 0)\n", nil},
		{"another Now", "pkg/stats/a.go", "package a\nfunc f(c clock) { c.Now() }\n", nil},
		{"method init", "pkg/stats/a.go", "package a\nfunc (t T) init() {}\n", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, sourceProblems(t, tt.file, []byte(tt.src))); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package architecture

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	module     = "probe"
	bpfLibrary = "github.com/cilium/ebpf"
)

// mayImport is the import matrix: for each package, or each tree of packages
// (ending in /...), the packages of this module it may import. A new package
// needs a line here, and the line is the place to think about its direction.
// Imports of test files are free.
var mayImport = map[string][]string{
	"pkg/events":         {},
	"pkg/loader":         {},
	"pkg/stats":          {"pkg/events"},
	"pkg/export":         {"pkg/stats", "internal/owner"},
	"internal/clock":     {},
	"internal/http1":     {},
	"internal/route":     {},
	"internal/workload":  {"pkg/events"},
	"internal/host":      {"pkg/stats"},
	"internal/single":    {},
	"internal/privilege": {},
	"internal/owner":     {},
	"internal/terminal":  {},
	"internal/doctor":    {"pkg/loader", "pkg/export", "internal/single", "internal/privilege", "internal/terminal"},
	"internal/exchange":  {"pkg/events", "internal/http1"},
	"internal/accesslog": {"pkg/events"},
	"internal/state":     {"pkg/stats", "internal/owner"},
	"internal/endpoint":  {"pkg/events", "pkg/stats"},
	"internal/agent":     {"pkg/...", "internal/..."},
	"cmd/...":            {"internal/agent", "internal/doctor", "internal/terminal"},

	// Tools and tests stand beside the program; nothing of it imports them.
	"internal/architecture": {},
	"internal/testutil":     {},
	"bpf/...":               {},
	"scripts/...":           {"pkg/...", "internal/...", "scripts/..."},
}

// usesBPFLibrary are the packages that may import cilium/ebpf: the loader, and
// the programs that test the kernel side by itself.
var usesBPFLibrary = []string{"pkg/loader", "bpf/..."}

// onlyForTests are what no other code may import, whatever its line says.
var onlyForTests = []string{"internal/testutil", "internal/architecture"}

// goPackage is the part of `go list -json` that is used here.
type goPackage struct {
	ImportPath string
	Name       string
	Imports    []string // without those of test files
}

func TestImports(t *testing.T) {
	for _, pkg := range listPackages(t) {
		for _, problem := range importProblems(pkg) {
			t.Error(problem)
		}
	}
}

// What a package does not import any more it may not import any more.
func TestImportMatrixIsTight(t *testing.T) {
	imports := map[string][]string{}
	for _, pkg := range listPackages(t) {
		imports[inModule(pkg.ImportPath)] = pkg.Imports
	}
	for path, allowed := range mayImport {
		for _, one := range allowed {
			if !strings.Contains(path+one, "...") && !slices.Contains(imports[path], module+"/"+one) {
				t.Errorf("%s does not import %s: take it out of mayImport", path, one)
			}
		}
	}
}

func TestPackageNames(t *testing.T) {
	for _, pkg := range listPackages(t) {
		if problem := nameProblem(pkg); problem != "" {
			t.Error(problem)
		}
	}
}

func importProblems(pkg goPackage) []string {
	path := inModule(pkg.ImportPath)
	allowed, listed := lookUp(path)
	if !listed {
		return []string{path + " is not in the import matrix: add it to mayImport"}
	}
	var problems []string
	for _, imported := range pkg.Imports {
		switch {
		case imported == module || strings.HasPrefix(imported, module+"/"):
			if !matchesAny(allowed, inModule(imported)) || matchesAny(onlyForTests, inModule(imported)) {
				problems = append(problems, path+" must not import "+inModule(imported))
			}
		case imported == bpfLibrary || strings.HasPrefix(imported, bpfLibrary+"/"):
			if !matchesAny(usesBPFLibrary, path) {
				problems = append(problems, path+" must not import "+imported)
			}
		}
	}
	return problems
}

// nameProblem rejects names that say nothing about what a package does.
func nameProblem(pkg goPackage) string {
	if slices.Contains([]string{"util", "utils", "common", "helpers", "misc"}, pkg.Name) {
		return inModule(pkg.ImportPath) + ": a package is named by what it does, not " + pkg.Name
	}
	return ""
}

// lookUp returns the matrix line of a package: its own, or that of its tree.
func lookUp(path string) (allowed []string, listed bool) {
	if allowed, listed = mayImport[path]; listed {
		return allowed, true
	}
	for pattern, allowed := range mayImport {
		if matches(pattern, path) {
			return allowed, true
		}
	}
	return nil, false
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, path) })
}

func matches(pattern, path string) bool {
	if tree, isTree := strings.CutSuffix(pattern, "/..."); isTree {
		return path == tree || strings.HasPrefix(path, tree+"/")
	}
	return path == pattern
}

func inModule(importPath string) string { return strings.TrimPrefix(importPath, module+"/") }

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Imports", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("list packages: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("list packages: %v", err)
	}
	var pkgs []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var pkg goPackage
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("decode package list: %v", err)
		}
		pkgs = append(pkgs, pkg)
	}
	if len(pkgs) == 0 {
		t.Fatal("no packages found")
	}
	return pkgs
}

// The rules find what they are there to find.
func TestImportRulesDetect(t *testing.T) {
	tests := []struct {
		name string
		pkg  goPackage
		want []string
	}{
		{"allowed", goPackage{ImportPath: "probe/pkg/stats", Imports: []string{"probe/pkg/events", "time"}}, nil},
		{"against the direction", goPackage{ImportPath: "probe/pkg/events", Imports: []string{"probe/pkg/stats"}},
			[]string{"pkg/events must not import pkg/stats"}},
		{"skipping a layer", goPackage{ImportPath: "probe/pkg/export", Imports: []string{"probe/pkg/events"}},
			[]string{"pkg/export must not import pkg/events"}},
		{"cmd past the agent", goPackage{ImportPath: "probe/cmd/probe", Imports: []string{"probe/internal/agent", "probe/pkg/loader"}},
			[]string{"cmd/probe must not import pkg/loader"}},
		{"program imports a script", goPackage{ImportPath: "probe/internal/agent", Imports: []string{"probe/scripts/bench", "probe/pkg/loader"}},
			[]string{"internal/agent must not import scripts/bench"}},
		{"program imports what tests share", goPackage{ImportPath: "probe/internal/agent", Imports: []string{"probe/internal/testutil"}},
			[]string{"internal/agent must not import internal/testutil"}},
		{"BPF library in the agent", goPackage{ImportPath: "probe/internal/agent", Imports: []string{bpfLibrary + "/link"}},
			[]string{"internal/agent must not import github.com/cilium/ebpf/link"}},
		{"BPF library in the loader", goPackage{ImportPath: "probe/pkg/loader", Imports: []string{bpfLibrary}}, nil},
		{"new package", goPackage{ImportPath: "probe/pkg/new"},
			[]string{"pkg/new is not in the import matrix: add it to mayImport"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, importProblems(tt.pkg)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
	if nameProblem(goPackage{ImportPath: "probe/pkg/util", Name: "util"}) == "" {
		t.Error("a package named util was accepted")
	}
}

// SPDX-License-Identifier: Apache-2.0

package architecture

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/export"
)

// The metric tables of README.md and docs/metrics.md are those that the program uses.
func TestMetricTables(t *testing.T) {
	for _, table := range []struct{ file, marker, scope string }{
		{"README.md", "metrics", "http."},
		{"docs/metrics.md", "host metrics", "host."},
		{"docs/metrics.md", "self metrics", "self."},
	} {
		var want strings.Builder
		want.WriteString("| metric | type | unit | meaning |\n|---|---|---|---|\n")
		for _, m := range export.Metrics() {
			if strings.HasPrefix(m.Name, table.scope) {
				fmt.Fprintf(&want, "| `%s` | `%s` | %s | %s |\n", m.Name, m.Type, m.Unit, m.Description)
			}
		}
		if diff := cmp.Diff(want.String(), section(t, table.file, table.marker)); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", table.file, table.marker, diff)
		}
	}
	for _, m := range export.Metrics() {
		if scope, _, _ := strings.Cut(m.Name, "."); !slices.Contains([]string{"http", "host", "self"}, scope) {
			t.Errorf("%s is in no table", m.Name)
		}
	}
}

// docs/metrics.md has every counter that a part of the program reports by
// itself, and no other.
func TestPartCounters(t *testing.T) {
	var documented []string
	for _, row := range strings.Split(section(t, "docs/metrics.md", "counters of parts"), "\n") {
		if m := regexp.MustCompile("^\\| `self\\.([a-z0-9_.]+)` \\|").FindStringSubmatch(row); m != nil {
			documented = append(documented, m[1])
		}
	}
	slices.Sort(documented)
	var used []string
	for _, pattern := range []string{"internal/agent/*.go", "internal/host/*.go", "pkg/stats/*.go", "pkg/loader/counters.go"} {
		files, err := filepath.Glob(filepath.Join(moduleRoot, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				used = append(used, countersIn(t, file)...)
			}
		}
	}
	slices.Sort(used)
	if diff := cmp.Diff(slices.Compact(used), documented); diff != "" {
		t.Errorf("docs/metrics.md (-want +got):\n%s", diff)
	}
}

// section is the text of a file between <!-- marker --> and <!-- end of marker -->.
func section(t *testing.T, file, marker string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(moduleRoot, file))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begins := strings.Cut(string(text), "<!-- "+marker+" -->\n")
	inside, _, ends := strings.Cut(rest, "<!-- end of "+marker+" -->\n")
	if !begins || !ends {
		t.Fatalf("%s has no section %q", file, marker)
	}
	return inside
}

// countersIn lists the names that a file hands to a function called add or
// report, and those of the kernel's counters.
func countersIn(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`^[a-z]+\.[a-z0-9_.]+$`)
	var names []string
	note := func(e ast.Expr) {
		if lit, ok := e.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil && name.MatchString(s) {
				names = append(names, s)
			}
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "add" || f.Name == "report") && len(n.Args) == 2 {
				note(n.Args[0])
			}
		case *ast.KeyValueExpr:
			if strings.HasSuffix(file, "counters.go") {
				note(n.Value)
			}
		}
		return true
	})
	return names
}

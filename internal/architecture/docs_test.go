// SPDX-License-Identifier: Apache-2.0

package architecture

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// glob returns the files of these patterns below the root of the module.
func glob(t *testing.T, patterns ...string) (files []string) {
	t.Helper()
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(moduleRoot, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no files %s: %v", pattern, err)
		}
		files = append(files, found...)
	}
	return files
}

func textOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every package and every file of the kernel side is in the table of ARCHITECTURE.md.
func TestFoldersAreDescribed(t *testing.T) {
	_, table, _ := strings.Cut(textOf(t, filepath.Join(moduleRoot, "ARCHITECTURE.md")), "\n## 3. ")
	table, _, found := strings.Cut(table, "\n## 4. ")
	if !found {
		t.Fatal("ARCHITECTURE.md has no section 3")
	}
	var names []string
	for _, file := range glob(t, "bpf/*.h", "bpf/*.c") {
		names = append(names, filepath.Base(file))
	}
	for _, dir := range glob(t, "internal/*", "pkg/*", "cmd/*") {
		names = append(names, strings.TrimPrefix(filepath.ToSlash(dir), moduleRoot+"/"))
	}
	for _, name := range names {
		if !strings.Contains(table, "`"+name+"`") {
			t.Errorf("%s is not described", name)
		}
	}
}

// Documents name no file and no test that is not there.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	var tests strings.Builder
	for _, file := range glob(t, "*/*/*_test.go") {
		tests.WriteString(textOf(t, file))
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)[)#]`)
	path := regexp.MustCompile("`([a-z]+/[a-zA-Z0-9_./-]+\\.(?:go|h|c|sh|md|json))`")
	test := regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)
	for _, file := range glob(t, "*.md", "docs/*.md", "docs/adr/*.md", "scripts/*/*.md") {
		text := textOf(t, file)
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: link to %s: %v", file, m[1], err)
			}
		}
		for _, m := range path.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(moduleRoot, m[1])); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
		for _, name := range test.FindAllString(text, -1) {
			if !strings.Contains(tests.String(), "\nfunc "+name+"(") {
				t.Errorf("%s: there is no %s", file, name)
			}
		}
	}
}

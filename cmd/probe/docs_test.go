// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// foreignFlags stand in the documents and are those of other programs.
var foreignFlags = []string{"create-namespace", "now", "purge", "set", "uninstall"}

// Every flag is in a document, and no document has a flag that there is not.
func TestFlagsAreDocumented(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	files = append(files, "../../README.md", "../../ARCHITECTURE.md")
	flag := regexp.MustCompile(`(?:^|[^-\w])--([a-z][a-z-]*[a-z])`)
	flags := validKeys(newRoot(io.Discard, io.Discard))
	documented := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range flag.FindAllStringSubmatch(string(text), -1) {
			documented[found[1]] = true
			if !slices.Contains(slices.Concat(flags, notInFile, foreignFlags), found[1]) {
				t.Errorf("%s: there is no flag --%s", strings.TrimPrefix(file, "../../"), found[1])
			}
		}
	}
	for _, name := range flags {
		if !documented[name] {
			t.Errorf("--%s is in no document", name)
		}
	}
}

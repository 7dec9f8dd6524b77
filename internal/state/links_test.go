// SPDX-License-Identifier: Apache-2.0

package state

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// In a directory that others can write, a file may be a link to one of root's,
// or a pipe that nobody writes to: both are refused, neither followed.
func TestLinksAreNotFollowed(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	for _, name := range []string{lockName, databaseName} {
		for kind, plant := range map[string]func(path string) error{
			"link":         func(path string) error { return os.Symlink(elsewhere, path) },
			"link to none": func(path string) error { return os.Symlink(elsewhere+"-none", path) },
			"pipe":         func(path string) error { return unix.Mkfifo(path, 0o600) },
		} {
			if name == lockName && kind == "pipe" {
				continue // it is locked like a file; nothing is read from it
			}
			dir := t.TempDir()
			if err := os.WriteFile(elsewhere, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := plant(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			if opened, err := Open(dir, testNow); err == nil {
				closeStore(t, opened.Store)
				t.Errorf("%s that is a %s: opened", name, kind)
			}
			if _, err := Read(dir); err == nil {
				t.Errorf("%s that is a %s: read", name, kind)
			}
			if text, err := os.ReadFile(elsewhere); err != nil || string(text) != "precious" {
				t.Errorf("%s that is a %s: the file elsewhere is %q, %v", name, kind, text, err)
			}
			if _, err := os.Lstat(elsewhere + "-none"); err == nil {
				t.Errorf("%s that is a %s: the file that it led to was made", name, kind)
			}
		}
	}
}

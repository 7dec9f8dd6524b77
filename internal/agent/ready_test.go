// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// What is at the path of the ready file is replaced, not followed.
func TestReadyFile(t *testing.T) {
	dir := t.TempDir()
	path, elsewhere := filepath.Join(dir, "ready"), filepath.Join(dir, "elsewhere")
	must(t, os.WriteFile(elsewhere, []byte("precious"), 0o600))
	for name, before := range map[string]func() error{
		"nothing":          func() error { return nil },
		"left behind":      func() error { return os.WriteFile(path, []byte("of an earlier run\n"), 0o600) },
		"symbolic link":    func() error { return os.Symlink(elsewhere, path) },
		"link to nowhere":  func() error { return os.Symlink(filepath.Join(dir, "nowhere"), path) },
		"second hard link": func() error { return os.Link(elsewhere, path) },
	} {
		must(t, before())
		r, err := makeReady(path)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		info, err := os.Lstat(path)
		must(t, err)
		text, err := os.ReadFile(path)
		must(t, err)
		if !info.Mode().IsRegular() || string(text) != "ready\n" {
			t.Errorf("%s: %v, %q", name, info.Mode(), text)
		}
		r.remove()
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: at the end %v, want it gone", name, err)
		}
	}
	if text, err := os.ReadFile(elsewhere); err != nil || string(text) != "precious" {
		t.Errorf("the file elsewhere: %q, %v", text, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file that a link led to: %v", err)
	}
}

// What is no file is left alone, and so is a file that is no longer ours.
func TestReadyFileRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ready")
	must(t, unix.Mkfifo(path, 0o600))
	for _, path := range []string{path, t.TempDir(), "/dev/null"} {
		if _, err := makeReady(path); err == nil {
			t.Errorf("%s was accepted", path)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s is gone: %v", path, err)
		}
	}
	must(t, os.Remove(path))
	r, err := makeReady(path)
	must(t, err)
	must(t, os.Remove(path))
	must(t, os.WriteFile(path, []byte("another's"), 0o600))
	r.remove()
	if text, err := os.ReadFile(path); err != nil || string(text) != "another's" {
		t.Errorf("another's file: %q, %v", text, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package export

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"probe/internal/testutil"
)

// The lines name services and routes of the host: they are for the agent alone.
func TestSpoolIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, _, err := openSpool(dir, MinSpoolBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, err := s.append([]byte("a:1|c\n"), 1, 1); err != nil {
		t.Fatal(err)
	}
	s.saveAcked(1, 0)
	files := 0
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v", path, info.Mode())
		}
		files++
		return nil
	})
	if err != nil || files != 4 { // the directory, its lock, the confirmed, a segment
		t.Errorf("%d files, %v", files, err)
	}
}

// A link in place of a file of the spool is refused, not followed.
func TestSpoolFollowsNoLinks(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.WriteFile(elsewhere, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{lockFile, ackedFile, filepath.Base(segmentPath("", 1)), filepath.Base(segmentPath("", 7))} {
		dir := t.TempDir()
		if err := os.Symlink(elsewhere, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if s, _, err := openSpool(dir, MinSpoolBytes); err == nil {
			s.close()
			t.Errorf("%s: a link was followed", name)
		}
		if text, err := os.ReadFile(elsewhere); err != nil || string(text) != "precious" {
			t.Errorf("%s: the file elsewhere is %q, %v", name, text, err)
		}
	}
}

// What root leaves in a directory of another user is that user's, also what it makes
// long after the start.
func TestSpoolFilesAreTheOwners(t *testing.T) {
	testutil.RequireRoot(t, "make a directory of another user")
	const nobody = 65534
	theirs := t.TempDir()
	if err := os.Chown(theirs, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(theirs, "spool")
	s, _, err := openSpool(dir, MinSpoolBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, err := s.append([]byte("a:1|c\n"), 1, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.roll(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(dir + "/*")
	if err != nil || len(files) != 4 {
		t.Fatalf("files %v, %v; want 4", files, err)
	}
	for _, path := range append(files, dir) {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != nobody {
			t.Errorf("%s belongs to %d, want %d", path, uid, nobody)
		}
	}
}

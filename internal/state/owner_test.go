// SPDX-License-Identifier: Apache-2.0

package state

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"probe/internal/testutil"
)

// What root leaves in a directory of another user is that user's.
func TestFilesAreTheOwners(t *testing.T) {
	testutil.RequireRoot(t, "make a directory of another user")
	const nobody = 65534
	theirs := t.TempDir()
	if err := os.Chown(theirs, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(theirs, "deep", "state")
	opened, err := Open(dir, testNow)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := opened.Store.Save(Saved{Starts: 1}); err != nil {
		t.Fatal(err)
	}
	closeStore(t, opened.Store)
	for _, path := range []string{theirs + "/deep", dir, filepath.Join(dir, lockName), filepath.Join(dir, databaseName)} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != nobody {
			t.Errorf("%s belongs to %d, want %d", path, uid, nobody)
		}
	}
}

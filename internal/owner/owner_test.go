// SPDX-License-Identifier: Apache-2.0

package owner

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"probe/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m) }

// nobody is some other user.
const nobody = 65534

func theirs(t *testing.T) string {
	t.Helper()
	testutil.RequireRoot(t, "make a directory of another user")
	dir := t.TempDir()
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return dir
}

func of(t *testing.T, path string) int {
	t.Helper()
	uid, known := idOf(path)
	if !known {
		t.Fatalf("%s: owner not known", path)
	}
	return uid
}

func open(t *testing.T, path string, flags int) {
	t.Helper()
	file, err := Open(path, flags, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpen(t *testing.T) {
	dir := theirs(t)
	made, before := filepath.Join(dir, "made"), filepath.Join(dir, "before")
	if err := os.WriteFile(before, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		open(t, made, os.O_RDWR|os.O_CREATE)
		open(t, before, os.O_RDWR|os.O_CREATE)
	}
	if got := of(t, made); got != nobody {
		t.Errorf("a file that was made belongs to %d, want %d", got, nobody)
	}
	if got := of(t, before); got != os.Geteuid() {
		t.Errorf("a file that was there belongs to %d, want that nobody gave it away", got)
	}
	mine := filepath.Join(t.TempDir(), "mine")
	open(t, mine, os.O_RDWR|os.O_CREATE)
	if got := of(t, mine); got != os.Geteuid() || Another(filepath.Dir(mine)) || !Another(dir) {
		t.Errorf("a file in a directory of this user belongs to %d", got)
	}
	if _, err := Open(filepath.Join(dir, "none"), os.O_RDWR, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestMkdirAll(t *testing.T) {
	dir := theirs(t)
	deep := filepath.Join(dir, "a", "b") + "/"
	for range 2 {
		if err := MkdirAll(deep, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, made := range []string{"a", "a/b"} {
		if got := of(t, filepath.Join(dir, made)); got != nobody {
			t.Errorf("%s belongs to %d, want %d", made, got, nobody)
		}
	}
	file := filepath.Join(dir, "file")
	open(t, file, os.O_RDWR|os.O_CREATE)
	if err := MkdirAll(filepath.Join(file, "below"), 0o700); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a directory in a file: %v", err)
	}
}

func TestOpenFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "target"), link); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(link, os.O_RDWR|os.O_CREATE, 0o600); !errors.Is(err, unix.ELOOP) {
		t.Errorf("opened a link: %v", err)
	}
}

func TestExplain(t *testing.T) {
	dir := theirs(t)
	path := filepath.Join(dir, "lock")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	denied := &fs.PathError{Op: "open", Path: path, Err: unix.EACCES}
	if got := Explain(denied); !errors.Is(got, fs.ErrPermission) || !strings.HasSuffix(got.Error(), "chown 65534 "+path) {
		t.Errorf("%v, want what to do", got)
	}
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{denied, &fs.PathError{Op: "open", Path: dir + "/none", Err: unix.EACCES}, unix.EACCES, errors.New("other"), nil} {
		if got := Explain(err); got != err {
			t.Errorf("%v, want %v as it is", got, err)
		}
	}
}

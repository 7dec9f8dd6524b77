// SPDX-License-Identifier: Apache-2.0

// Package owner makes files for whoever owns their directory. An agent that root
// starts once, by hand, in the directory of a service with a user of its own must
// not leave files there that the service cannot open any more.
package owner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Open is os.OpenFile, which follows no link; a file that it makes (os.O_CREATE)
// belongs to the owner of its directory.
func Open(path string, flags int, mode os.FileMode) (*os.File, error) {
	flags |= unix.O_NOFOLLOW
	if flags&os.O_CREATE == 0 {
		return os.OpenFile(path, flags, mode)
	}
	// Only what was made here is given away: a file that was there may be a hard
	// link to one of ours.
	file, err := os.OpenFile(path, flags|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return os.OpenFile(path, flags, mode)
	}
	if err == nil {
		Give(file)
	}
	return file, err
}

// Give gives a file that was just made to the owner of its directory. Where that is
// not permitted the file stays as it is, and is as good for this process.
func Give(file *os.File) {
	of, known := idOf(filepath.Dir(file.Name()))
	if known && of != os.Geteuid() {
		_ = file.Chown(of, -1)
	}
}

// MkdirAll is os.MkdirAll; each directory that it makes belongs to the owner of the
// one that it is in.
func MkdirAll(dir string, mode os.FileMode) error {
	above := filepath.Dir(dir)
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) || above == dir {
		return os.MkdirAll(dir, mode) // which says what is wrong, if anything
	}
	if err := MkdirAll(above, mode); err != nil {
		return err
	}
	if err := os.Mkdir(dir, mode); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil // by somebody else, just now
		}
		return err
	}
	if of, known := idOf(above); known && of != os.Geteuid() {
		_ = os.Lchown(dir, of, -1)
	}
	return nil
}

// Another reports whether dir belongs to another user than this process.
func Another(dir string) bool {
	of, known := idOf(dir)
	return known && of != os.Geteuid()
}

// Explain adds to an error of permission whose the file of it is, where it is not
// that of the directory it is in.
func Explain(err error) error {
	var denied *fs.PathError
	if !errors.Is(err, fs.ErrPermission) || !errors.As(err, &denied) {
		return err
	}
	file, known := idOf(denied.Path)
	dir, alsoKnown := idOf(filepath.Dir(denied.Path))
	if !known || !alsoKnown || file == dir {
		return err
	}
	return fmt.Errorf("%w: it belongs to user %d, its directory to user %d: chown %d %s", err, file, dir, dir, denied.Path)
}

func idOf(path string) (uid int, known bool) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, false
	}
	stat, known := info.Sys().(*syscall.Stat_t)
	if !known {
		return 0, false
	}
	return int(stat.Uid), true
}

// SPDX-License-Identifier: Apache-2.0

package single

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// dirMode lets nobody but the agent's user in.
const dirMode = 0o700

// Refusal is why locks cannot be used in a directory, and what to do about it.
type Refusal struct{ Why, Remedy string }

func (r *Refusal) Error() string { return r.Why + ": " + r.Remedy }

// Check says what Acquire would refuse dir for; it makes and changes nothing.
func Check(dir string) error {
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return writable(dir, filepath.Dir(dir))
	case err != nil:
		return unusable(dir, err)
	}
	if err := judge(dir, info); err != nil {
		return err
	}
	return writable(dir, dir)
}

// prepare makes dir and refuses one in which others could lock. One of our own
// is closed to them: the kubelet makes it as open as any other.
func prepare(dir string) error {
	info, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(dir, dirMode); err == nil {
			info, err = os.Lstat(dir)
		}
	}
	if err != nil {
		return unusable(dir, err)
	}
	if err := judge(dir, info); err != nil {
		return err
	}
	if open(info) {
		return os.Chmod(dir, dirMode)
	}
	return nil
}

// judge refuses what is no directory of ours, nor one that is closed to others.
func judge(dir string, info fs.FileInfo) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return &Refusal{dir + " is a symbolic link", "if it leads to /run/private, set RuntimeDirectoryPreserve=no in the systemd unit and restart that; else rm " + dir}
	case !info.IsDir():
		return &Refusal{dir + " is not a directory", "rm " + dir}
	case open(info) && !ours(info):
		return &Refusal{dir + " is open to other users", "chmod 700 " + dir}
	}
	return nil
}

func open(info fs.FileInfo) bool { return info.Mode().Perm()&^dirMode != 0 }

func ours(info fs.FileInfo) bool {
	stat, known := info.Sys().(*syscall.Stat_t)
	return known && int(stat.Uid) == os.Geteuid()
}

// writable: to make dir, at may be any directory above it.
func writable(dir, at string) error {
	for {
		err := unix.Faccessat(unix.AT_FDCWD, at, unix.W_OK|unix.X_OK, unix.AT_EACCESS)
		if err == nil {
			return nil
		}
		if above := filepath.Dir(at); errors.Is(err, fs.ErrNotExist) && above != at {
			at = above
			continue
		}
		return unusable(dir, &fs.PathError{Op: "write", Path: at, Err: err})
	}
}

func unusable(dir string, err error) error {
	return &Refusal{dir + " cannot be used: " + err.Error(), "run as root; systemd: RuntimeDirectory=probe and RuntimeDirectoryPreserve=no"}
}

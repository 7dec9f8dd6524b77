// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

// readDatabase returns the record of a database that may hold anything, and
// closes it. found is false where there is no database, or no record in it.
func readDatabase(path string) (saved Saved, found bool, err error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Saved{}, false, nil
	case err != nil:
		return Saved{}, false, err
	case !info.Mode().IsRegular():
		return Saved{}, false, &fs.PathError{Op: "open", Path: path, Err: errors.New("not a regular file")}
	case info.Size() == 0: // what is left of one on a full disk
		return Saved{}, false, nil
	case info.Size() > 2*maxFileBytes:
		return Saved{}, false, fmt.Errorf("%w: %d bytes", ErrDamaged, info.Size())
	}
	var file *os.File
	err = guarded(func() error {
		db, err := openDatabase(path, true, &file)
		if err != nil {
			return err
		}
		saved, found, err = read(db)
		return errors.Join(err, db.Close())
	})
	if err != nil {
		release(file)
		return Saved{}, false, err
	}
	return saved, found, nil
}

// readPrevious returns the record before the newest one of a database whose
// newest one is damaged. The first two pages say in turn where a record is; in a
// copy, each is made invalid, and one of them is the newest.
func readPrevious(path string) (Saved, bool) {
	content, err := os.ReadFile(path)
	if err != nil {
		return Saved{}, false
	}
	size := os.Getpagesize()
	for page := range 2 {
		if len(content) < (page+1)*size {
			return Saved{}, false
		}
		damaged := slices.Clone(content)
		clear(damaged[page*size : (page+1)*size])
		if saved, found := readCopy(path, damaged); found {
			return saved, true
		}
	}
	return Saved{}, false
}

// readCopy reads a database from a file beside path, which it removes.
func readCopy(path string, content []byte) (Saved, bool) {
	file, err := os.CreateTemp(filepath.Dir(path), newPattern)
	if err != nil {
		return Saved{}, false
	}
	defer os.Remove(file.Name())
	_, err = file.Write(content)
	if errors.Join(err, file.Close()) != nil {
		return Saved{}, false
	}
	saved, found, err := readDatabase(file.Name())
	return saved, found && err == nil
}

// openDatabase sorts the library's errors: what the system says stays what it
// is, all else is about the contents. The file is handed out because a panic of
// the library leaves it open.
func openDatabase(path string, readOnly bool, file **os.File) (*bolt.DB, error) {
	db, err := bolt.Open(path, fileMode, &bolt.Options{
		Timeout: libraryLockWait, ReadOnly: readOnly, MaxSize: maxFileBytes, NoSync: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag|noFollow, mode)
			*file = f
			return f, err
		},
	})
	var pathErr *fs.PathError
	var errno syscall.Errno
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrInUse // by something that is not probe
	case errors.As(err, &pathErr), errors.As(err, &errno):
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
}

// guarded runs fn on a database that may be damaged: the library panics on
// pages that contradict each other, and a short file is a memory fault.
func guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return fn()
}

// release frees the lock of a file that the library has left open by a panic.
// Closing alone would not: the mapping stays, and it keeps the lock.
func release(file *os.File) {
	if file == nil {
		return
	}
	// Both fail for a file that is closed already, which is as well.
	_ = unix.Flock(int(file.Fd()), unix.LOCK_UN)
	_ = file.Close()
}

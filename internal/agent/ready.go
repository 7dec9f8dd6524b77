// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// readyFile says that the agent is attached, as long as it is there. It stays
// open, so that no other file has its number.
type readyFile struct {
	path string
	file *os.File
}

// makeReady makes the file anew. One that is there, of an earlier run or put
// there by somebody else, is replaced and never written to: in a directory that
// others can write it may lead anywhere.
func makeReady(path string) (*readyFile, error) {
	r := &readyFile{path: path}
	err := r.make()
	if err != nil {
		return nil, fmt.Errorf("write ready file: %w", err)
	}
	return r, nil
}

func (r *readyFile) make() error {
	switch info, err := os.Lstat(r.path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0:
		return &fs.PathError{Op: "replace", Path: r.path, Err: errors.New("not a regular file")}
	default:
		if err := syscall.Unlink(r.path); err != nil {
			return &fs.PathError{Op: "unlink", Path: r.path, Err: err}
		}
	}
	var err error
	if r.file, err = os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644); err != nil {
		return err
	}
	if _, err := r.file.WriteString("ready\n"); err != nil {
		return errors.Join(err, r.file.Close())
	}
	return nil
}

// remove removes the file, if it still is the one that was made. Nobody is left
// to be told of errors.
func (r *readyFile) remove() {
	defer r.file.Close()
	ours, err := r.file.Stat()
	if err != nil {
		return
	}
	if there, err := os.Lstat(r.path); err == nil && os.SameFile(there, ours) {
		_ = syscall.Unlink(r.path)
	}
}

// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Read returns the record of a directory that no process has in use, and
// changes nothing. Errors: ErrInUse, ErrDamaged, ErrNewer, fs.ErrNotExist when
// there is no record, or why it cannot be read.
func Read(dir string) (Saved, error) {
	file, err := lockShared(dir)
	if err != nil {
		return Saved{}, fmt.Errorf("state directory %s: %w", dir, err)
	}
	if file != nil {
		defer file.Close()
	}
	saved, found, err := readDatabase(filepath.Join(dir, databaseName))
	if err == nil && !found {
		err = fs.ErrNotExist
	}
	if err != nil {
		return Saved{}, fmt.Errorf("state directory %s: %w", dir, err)
	}
	return saved, nil
}

// Remove deletes the record of a directory that no process has in use; without
// one it does nothing. Errors: ErrInUse, or the system's.
func Remove(dir string) error {
	path := filepath.Join(dir, databaseName)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	file, err := lock(dir)
	if err == nil {
		defer file.Close()
		err = os.Remove(path)
	}
	if err != nil {
		return fmt.Errorf("remove state in %s: %w", dir, err)
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"probe/internal/owner"
)

// Holder says which process uses a state directory.
type Holder struct {
	PID int `json:"pid"`
	// Listen is the address of its HTTP endpoint, "" if it has none.
	Listen string `json:"listen,omitempty"`
}

// noFollow: a link in place of a file, or a pipe, is somebody else's doing.
const noFollow = unix.O_NOFOLLOW | unix.O_NONBLOCK

// maxHolderBytes is more than Announce writes.
const maxHolderBytes = 4096

// lock takes the directory for this process; the system frees it at the end,
// whatever that is. Error: ErrInUse, naming the process.
func lock(dir string) (*os.File, error) {
	file, err := owner.Open(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|noFollow, fileMode)
	if err != nil {
		return nil, err
	}
	if err := flock(file, unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// lockShared is lock for reading only. A directory that no process has used
// needs none; then the file is nil.
func lockShared(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDONLY|noFollow, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	if err := flock(file, unix.LOCK_SH); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// flock does not wait.
func flock(file *os.File, how int) error {
	err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
	if !errors.Is(err, unix.EWOULDBLOCK) {
		return err
	}
	h, readErr := readHolder(file)
	if readErr != nil || h.PID == 0 {
		return ErrInUse
	}
	return fmt.Errorf("%w (pid %d)", ErrInUse, h.PID)
}

// Announce writes down who has the directory.
func (s *Store) Announce(h Holder) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := s.lock.Truncate(0); err != nil {
		return s.unwritable(err)
	}
	if _, err := s.lock.WriteAt(append(text, '\n'), 0); err != nil {
		return s.unwritable(err)
	}
	return nil
}

// ReadHolder returns what was announced last. It means something only while
// Read or Remove say ErrInUse: a killed process does not take it back.
func ReadHolder(dir string) (Holder, error) {
	file, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDONLY|noFollow, 0)
	if err != nil {
		return Holder{}, err
	}
	defer file.Close()
	return readHolder(file)
}

func readHolder(file *os.File) (Holder, error) {
	var h Holder
	text, err := io.ReadAll(io.NewSectionReader(file, 0, maxHolderBytes))
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return Holder{}, fmt.Errorf("%s: %w", lockName, err)
	}
	return h, nil
}

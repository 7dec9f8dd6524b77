// SPDX-License-Identifier: Apache-2.0

// Package single keeps two agents of one host from sending the same figures to
// the same receiver twice: whoever sends to a receiver holds a lock, which the
// system frees when the process ends, however it ends.
//
// A lock is a file in Dir, locked by flock(2). Dir is for root or the agent's
// user alone, so that no other process of the host can take a lock and keep the
// agent waiting. In a container Dir must be the host's.
package single

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	// Dir is where the locks are.
	Dir = "/run/probe"
	// fileMode lets an agent of another user see the lock; Dir keeps all others out.
	fileMode = 0o644
	suffix   = ".lock"
	// maxHolder bounds what is read of a file; maxLocks how many are looked at.
	maxHolder = 4096
	maxLocks  = 256
	// maxTries bounds the races with agents that end at the same moment.
	maxTries = 10
)

// ErrHeld: another process holds the lock.
var ErrHeld = errors.New("another agent already sends there")

// Holder is who holds a lock.
type Holder struct {
	// PID is as the holder sees itself: in its own pid namespace.
	PID int `json:"pid"`
	// Key names what is locked: a receiver and the prefix of the names.
	Key string `json:"key"`
}

// Lock is a lock that this process holds.
type Lock struct {
	file *os.File
	path string
}

// Key names a receiver and the prefix of the names that are sent there. With
// another prefix the counts do not meet.
func Key(receiver, prefix string) string { return receiver + " prefix " + prefix }

// Acquire takes the lock of key in dir, which is made if it is not there. It
// does not wait: the error wraps ErrHeld, and Holder says by whom, when another
// process has it. Any other error means that locks cannot be used here.
func Acquire(dir, key string) (*Lock, Holder, error) {
	if err := prepare(dir); err != nil {
		return nil, Holder{}, err
	}
	sum := sha256.Sum256([]byte(key))
	path := filepath.Join(dir, hex.EncodeToString(sum[:8])+suffix)
	for range maxTries {
		lock, holder, err := try(path)
		if err != nil {
			return nil, holder, err
		}
		if lock == nil {
			continue
		}
		if err := lock.write(Holder{PID: os.Getpid(), Key: key}); err != nil {
			return nil, Holder{}, errors.Join(fmt.Errorf("write lock: %w", err), lock.Release())
		}
		return lock, Holder{}, nil
	}
	return nil, Holder{}, fmt.Errorf("lock %s: it changes all the time", path)
}

// try returns neither a lock nor an error when the file changed meanwhile.
func try(path string) (*Lock, Holder, error) {
	foreign := false
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, fileMode)
	if errors.Is(err, fs.ErrPermission) { // of another user's agent
		foreign = true
		denied := err
		if file, err = os.Open(path); errors.Is(err, fs.ErrNotExist) { // of nobody: dir is not for us
			err = denied
		}
	}
	if err != nil {
		return nil, Holder{}, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := read(file)
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, holder, ErrHeld
		}
		return nil, Holder{}, fmt.Errorf("lock %s: %w", path, err)
	}
	lock := &Lock{file, path}
	switch {
	case !lock.current(): // removed by its holder between our two calls
		return nil, Holder{}, file.Close()
	case foreign: // left behind; make our own
		return nil, Holder{}, lock.Release()
	}
	return lock, Holder{}, nil
}

// write says who holds the lock.
func (l *Lock) write(h Holder) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err = l.file.WriteAt(append(text, '\n'), 0)
	return err
}

// current reports whether the file that is locked is the one of that name.
func (l *Lock) current() bool {
	ours, err := l.file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(l.path)
	return err == nil && os.SameFile(ours, named)
}

// Release gives the lock up.
func (l *Lock) Release() error {
	return errors.Join(os.Remove(l.path), l.file.Close())
}

// Holders lists the locks in dir that are held, at most 256. A dir that does
// not exist holds none.
func Holders(dir string) ([]Holder, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Holder
	for _, entry := range entries[:min(len(entries), maxLocks)] {
		if filepath.Ext(entry.Name()) != suffix {
			continue
		}
		holder, held, err := look(filepath.Join(dir, entry.Name()))
		if err != nil {
			return all, err
		}
		if held {
			all = append(all, holder)
		}
	}
	return all, nil
}

func look(path string) (Holder, bool, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Holder{}, false, nil
	}
	if err != nil {
		return Holder{}, false, err
	}
	defer file.Close()
	err = unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	if err == nil || !errors.Is(err, unix.EWOULDBLOCK) {
		return Holder{}, false, err
	}
	holder, err := read(file)
	return holder, true, err
}

func read(file *os.File) (Holder, error) {
	var h Holder
	text, err := io.ReadAll(io.NewSectionReader(file, 0, maxHolder))
	if err != nil || len(text) == 0 { // not written yet
		return h, err
	}
	return h, json.Unmarshal(text, &h)
}

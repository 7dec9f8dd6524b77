// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"probe/internal/owner"
)

// Store is a state directory that this process has for itself. It is used by
// one goroutine at a time, and Sync by another.
type Store struct {
	dir  string
	now  func() time.Time
	lock *os.File
	db   *bolt.DB
	// mu guards file, which Sync uses: that of db, also for when the library
	// cannot close it any more.
	mu   sync.Mutex
	file *os.File
}

// Opened is what Open found.
type Opened struct {
	Store *Store
	// Saved is the record; its Since is zero when there was none.
	Saved Saved
	// SetAside says, in one sentence, what became of a database that could not
	// be used; "" normally.
	SetAside string
}

// Open makes the directory if there is none, takes it, reads its record and
// writes it into a fresh database. A database that is damaged or newer than
// this program is set aside. A full disk is no error here: the database stays as
// it is until a Save finds room. Errors: ErrInUse, or why the directory cannot be
// used. now is the wall clock.
func Open(dir string, now func() time.Time) (Opened, error) {
	s := &Store{dir: dir, now: now}
	if err := owner.MkdirAll(dir, dirMode); err != nil {
		return Opened{}, s.unwritable(err)
	}
	var err error
	if s.lock, err = lock(dir); err != nil {
		return Opened{}, s.unwritable(err)
	}
	opened := Opened{Store: s}
	if err := s.take(&opened); err != nil {
		return Opened{}, errors.Join(s.unwritable(err), s.Close())
	}
	return opened, nil
}

func (s *Store) take(opened *Opened) error {
	saved, found, err := readDatabase(s.path(databaseName))
	if errors.Is(err, ErrDamaged) {
		saved, found = readPrevious(s.path(databaseName))
	}
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrNewer) {
		opened.SetAside, err = s.setAside(err)
		if found {
			opened.SetAside += ", the record before it is used"
		}
	}
	if err != nil {
		return err
	}
	if err := s.cleanUp(); err != nil {
		return err
	}
	if found {
		opened.Saved = saved
		err = s.renew(&saved)
	} else {
		err = s.renew(nil)
	}
	if NoRoom(err) { // Save tries again
		return nil
	}
	return err
}

// NoRoom reports whether an error says that the disk, or a quota of it, is full.
func NoRoom(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Store) unwritable(err error) error {
	return fmt.Errorf("state directory %s cannot be used: %w", s.dir, owner.Explain(err))
}

// renew replaces the database by a fresh one with the given record. A kill
// leaves the one or the other, because the name is given last.
func (s *Store) renew(saved *Saved) error {
	temporary, err := os.CreateTemp(s.dir, newPattern)
	if err != nil {
		return err
	}
	name := temporary.Name()
	owner.Give(temporary)
	if err := temporary.Close(); err != nil {
		return err
	}
	var file *os.File
	s.db, err = openDatabase(name, false, &file)
	s.setFile(file)
	if err == nil && saved != nil {
		err = write(s.db, *saved)
	}
	if err == nil {
		err = s.Sync()
	}
	if err == nil {
		err = os.Rename(name, s.path(databaseName))
	}
	if err != nil {
		return errors.Join(err, s.closeDatabase(), os.Remove(name))
	}
	return nil
}

// Save replaces the record. A database found to be damaged is set aside and the
// record written into a fresh one; setAside then says so. On error the record
// before stays, and the next Save tries everything again.
func (s *Store) Save(saved Saved) (setAside string, err error) {
	saved.At = s.now()
	switch {
	case s.db == nil: // it could not be renewed the last time
		err = s.renew(&saved)
	default:
		err = guarded(func() error { return write(s.db, saved) })
	}
	if errors.Is(err, ErrDamaged) {
		release(s.file)
		s.db = nil
		s.setFile(nil)
		if setAside, err = s.setAside(err); err == nil {
			err = s.renew(&saved)
		}
	}
	if err != nil {
		return setAside, fmt.Errorf("save state in %s: %w", s.dir, err)
	}
	return setAside, nil
}

// Sync makes what has been saved survive the end of the machine. It may run
// beside all others.
func (s *Store) Sync() error {
	s.mu.Lock()
	file := s.file
	s.mu.Unlock()
	if file == nil {
		return nil
	}
	err := file.Sync()
	if errors.Is(err, os.ErrClosed) { // replaced or closed meanwhile, and synced then
		return nil
	}
	return err
}

// Close lets go of the directory, after a Sync; it may be called twice.
func (s *Store) Close() error {
	err := errors.Join(s.Sync(), s.closeDatabase())
	if s.lock != nil {
		err = errors.Join(err, s.lock.Truncate(0), s.lock.Close())
		s.lock = nil
	}
	if err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}

func (s *Store) closeDatabase() error {
	if s.db == nil {
		return nil
	}
	err := guarded(s.db.Close)
	if err != nil {
		release(s.file)
	}
	s.db = nil
	s.setFile(nil)
	return err
}

func (s *Store) setFile(file *os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.file = file
}

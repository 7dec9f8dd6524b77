// SPDX-License-Identifier: Apache-2.0

// Package state keeps the totals of the program in a directory, so that they
// survive a restart, a crash and an upgrade.
//
// The directory holds probe.db, a bbolt database with one record that is
// replaced in one transaction, and probe.lock, which is locked by the process
// that uses the directory and says which one that is. A database that cannot be
// used (damaged, or of a newer program) is renamed, never deleted.
//
// A record is there for the next process as soon as Save returns, whatever ends
// this one. For the end of the machine it is there after Sync, which can take
// seconds on a busy disk and therefore is a call of its own, beside Save. When
// the power fails in between, the newest record can be damaged; then the one
// before it is used, which the database still has.
//
// The library that keeps the database trusts what it reads. So a database that
// was there before is only read, by the few steps that find the record, which
// has a checksum; what is written to is always a file made by this process.
package state

import (
	"errors"
	"time"

	"probe/pkg/stats"
)

const (
	// Schema is the version of what is written. A program reads its own.
	Schema = 1
	// dirMode and fileMode: the figures name services and routes of the host.
	dirMode, fileMode = 0o700, 0o600

	databaseName = "probe.db"
	lockName     = "probe.lock"
	// newPattern are databases not finished when the program was killed.
	newPattern = databaseName + ".new-*"
	// maxSetAside bounds the unusable databases that are kept, newest first.
	maxSetAside = 5
	// maxFileBytes bounds the database. A record is a few KB, with many
	// series a few hundred.
	maxFileBytes = 64 << 20
	// libraryLockWait bounds the library's own lock, which nobody contends.
	libraryLockWait = time.Second
)

// Errors of this package.
var (
	// ErrInUse: another process holds the directory.
	ErrInUse = errors.New("in use by a running probe")
	// ErrDamaged: the database or its record is not what was written.
	ErrDamaged = errors.New("damaged")
	// ErrNewer: a later version of the program wrote the record.
	ErrNewer = errors.New("written by a newer probe")
)

// Saved is the one record.
type Saved struct {
	// Since is when counting began: the first start, or the last reset.
	Since time.Time `json:"since"`
	// At is when the record was written.
	At time.Time `json:"at"`
	// Starts counts the starts of the program since Since.
	Starts uint64 `json:"starts"`
	// Version is that of the program that wrote.
	Version string `json:"version"`
	// Stats are the totals, Series those of each series.
	Stats  stats.State         `json:"stats"`
	Series []stats.SeriesTotal `json:"series,omitempty"`
}

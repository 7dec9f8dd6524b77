// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// spoiled returns a directory whose database was changed by spoil.
func spoiled(t *testing.T, spoil func(t *testing.T, path string)) string {
	t.Helper()
	dir := t.TempDir()
	o := open(t, dir)
	save(t, o.Store, sample(7))
	closeStore(t, o.Store)
	spoil(t, filepath.Join(dir, databaseName))
	return dir
}

func overwrite(content []byte) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func inDatabase(change func(b *bolt.Bucket) error) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		db, err := bolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bolt.Tx) error { return change(tx.Bucket([]byte(bucketName))) })
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

func truncate(size int64) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnusableDatabaseIsSetAside(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*testing.T, string)
		kind  string
		// kept: the record before the one that is spoiled is found.
		kept bool
	}{
		"zeros":          {overwrite(make([]byte, 1<<15)), "damaged", false},
		"text":           {overwrite([]byte(strings.Repeat("not a database\n", 2000))), "damaged", false},
		"one byte":       {overwrite([]byte("x")), "damaged", false},
		"one page":       {truncate(4096), "damaged", false},
		"two pages":      {truncate(8192), "damaged", false},
		"page less":      {truncate(12288), "damaged", false},
		"no schema":      {inDatabase(func(b *bolt.Bucket) error { return b.Delete([]byte(schemaKey)) }), "damaged", true},
		"schema zero":    {inDatabase(func(b *bolt.Bucket) error { return b.Put([]byte(schemaKey), []byte("0")) }), "damaged", true},
		"future":         {inDatabase(func(b *bolt.Bucket) error { return b.Put([]byte(schemaKey), []byte("2")) }), "newer", false},
		"no record":      {inDatabase(func(b *bolt.Bucket) error { return b.Delete([]byte(recordKey)) }), "damaged", true},
		"short record":   {inDatabase(func(b *bolt.Bucket) error { return b.Put([]byte(recordKey), []byte("abc")) }), "damaged", true},
		"long schema":    {inDatabase(func(b *bolt.Bucket) error { return b.Put([]byte(schemaKey), make([]byte, 4000)) }), "damaged", true},
		"long record":    {inDatabase(func(b *bolt.Bucket) error { return b.Put([]byte(recordKey), make([]byte, maxRecordBytes+1)) }), "damaged", true},
		"changed record": {inDatabase(flipRecord), "damaged", true},
		"series": {inDatabase(func(b *bolt.Bucket) error {
			s := sample(2)
			s.Series[0].Timed = 3
			raw, err := encode(s)
			return errors.Join(err, b.Put([]byte(recordKey), raw))
		}), "damaged", true},
		"contradiction": {inDatabase(func(b *bolt.Bucket) error {
			s := sample(2)
			s.Stats.Finished.Timed = 1
			raw, err := encode(s)
			return errors.Join(err, b.Put([]byte(recordKey), raw))
		}), "damaged", true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := spoiled(t, test.spoil)
			if _, err := Read(dir); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) {
				t.Errorf("read: %v", err)
			}
			before, err := os.ReadFile(filepath.Join(dir, databaseName))
			if err != nil {
				t.Fatal(err)
			}
			o := open(t, dir)
			aside := databaseName + "." + test.kind + "-20261125T010203.000000004Z"
			if !strings.Contains(o.SetAside, aside) || strings.Contains(o.SetAside, "the record before it") != test.kept {
				t.Errorf("set aside: %q", o.SetAside)
			}
			if kept := o.Saved.Stats.Finished.Count == 7; kept != test.kept || o.Saved.Since.IsZero() == test.kept {
				t.Errorf("record %+v", o.Saved)
			}
			kept, err := os.ReadFile(filepath.Join(dir, aside))
			if err != nil || !slices.Equal(kept, before) {
				t.Errorf("set aside: %d bytes, %v; want the %d there were", len(kept), err, len(before))
			}
			save(t, o.Store, sample(1))
			closeStore(t, o.Store)
			if saved, err := Read(dir); err != nil || saved.Stats.Finished.Count != 1 {
				t.Errorf("the fresh database: %+v, %v", saved, err)
			}
		})
	}
}

func flipRecord(b *bolt.Bucket) error {
	raw := slices.Clone(b.Get([]byte(recordKey)))
	raw[len(raw)/2] ^= 1
	return b.Put([]byte(recordKey), raw)
}

// An empty file is what a full disk leaves when it has room for a name only.
func TestEmptyFileIsNoRecord(t *testing.T) {
	dir := spoiled(t, truncate(0))
	o := open(t, dir)
	defer closeStore(t, o.Store)
	if o.SetAside != "" || !o.Saved.Since.IsZero() {
		t.Errorf("%+v", o)
	}
}

// The database goes bad while it is in use: the record is in memory, so it is
// written anew.
func TestDamageWhileOpen(t *testing.T) {
	dir := t.TempDir()
	o := open(t, dir)
	defer func() { closeStore(t, o.Store) }()
	save(t, o.Store, sample(1))
	truncate(0)(t, filepath.Join(dir, databaseName))
	aside, err := o.Store.Save(sample(9))
	if err != nil || !strings.Contains(aside, "damaged") {
		t.Fatalf("save: %q, %v", aside, err)
	}
	save(t, o.Store, sample(10))
}

// Those set aside do not fill the disk, whatever the directory is called.
func TestSetAsideIsBounded(t *testing.T) {
	for _, name := range []string{"state", "state[1]", "state["} {
		t.Run(name, func(t *testing.T) { setAsideIsBounded(t, filepath.Join(t.TempDir(), name)) })
	}
}

func setAsideIsBounded(t *testing.T, dir string) {
	closeStore(t, open(t, dir).Store)
	now := testTime
	for range maxSetAside + 3 {
		overwrite([]byte("x"))(t, filepath.Join(dir, databaseName))
		now = now.Add(time.Second)
		o, err := Open(dir, func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		closeStore(t, o.Store)
	}
	overwrite(nil)(t, filepath.Join(dir, databaseName+".new-123"))
	closeStore(t, open(t, dir).Store)
	got := names(t, dir)
	if len(got) != maxSetAside+2 || !strings.Contains(got[maxSetAside], "20261125T010211") {
		t.Errorf("files %q, want database, lock and the newest %d", got, maxSetAside)
	}
}

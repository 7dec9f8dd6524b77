// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"probe/internal/testutil"
	"probe/pkg/events"
	"probe/pkg/stats"
)

func TestMain(m *testing.M) { testutil.Main(m) }

var testTime = time.Date(2026, 11, 25, 1, 2, 3, 4, time.UTC)

func testNow() time.Time { return testTime }

// sample is a record with n requests.
func sample(n int) Saved {
	r := stats.New(stats.Options{})
	for range n {
		r.Record(&events.Request{Role: events.RoleServer, Status: 200, Duration: time.Millisecond, ResponseBytes: 10})
	}
	saved := Saved{Since: testTime.Add(-time.Hour), Starts: 3, Version: "v1", Stats: r.State()}
	var series stats.SeriesTotals
	series.Add(r.Flush())
	if n > 0 {
		saved.Series = series.List()
	}
	return saved
}

func open(t *testing.T, dir string) Opened {
	t.Helper()
	opened, err := Open(dir, testNow)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func closeStore(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func save(t *testing.T, s *Store, saved Saved) {
	t.Helper()
	if aside, err := s.Save(saved); err != nil || aside != "" {
		t.Fatalf("save: %q, %v", aside, err)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func TestSaveAndOpen(t *testing.T) {
	testutil.CheckFDs(t)
	dir := filepath.Join(t.TempDir(), "made", "by", "open")
	first := open(t, dir)
	if !first.Saved.Since.IsZero() || first.SetAside != "" {
		t.Errorf("a new directory has %+v, %q", first.Saved, first.SetAside)
	}
	save(t, first.Store, sample(1))
	save(t, first.Store, sample(5))
	closeStore(t, first.Store)

	want := sample(5)
	want.At = testTime
	again := open(t, dir)
	if diff := cmp.Diff(want, again.Saved); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	closeStore(t, again.Store)
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("record read offline (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{databaseName, lockName}, names(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	o := open(t, dir)
	defer closeStore(t, o.Store)
	if err := o.Store.Announce(Holder{PID: 1}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{".": fs.ModeDir | 0o700, databaseName: 0o600, lockName: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s: mode %v, want %v", name, info.Mode(), want)
		}
	}
}

// While one process has it, no other gets in, and is told which one that is.
func TestDirectoryIsLocked(t *testing.T) {
	testutil.CheckFDs(t)
	dir := t.TempDir()
	o := open(t, dir)
	if err := o.Store.Announce(Holder{PID: 4711, Listen: "127.0.0.1:9102"}); err != nil {
		t.Fatal(err)
	}
	_, err := Open(dir, testNow)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "pid 4711") {
		t.Errorf("second open: %v", err)
	}
	if _, err := Read(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("read: %v", err)
	}
	if err := Remove(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("remove: %v", err)
	}
	holder, err := ReadHolder(dir)
	if err != nil || holder != (Holder{PID: 4711, Listen: "127.0.0.1:9102"}) {
		t.Errorf("holder %+v, %v", holder, err)
	}
	closeStore(t, o.Store)
	if h, err := ReadHolder(dir); err == nil {
		t.Errorf("holder after the end: %+v", h)
	}
	closeStore(t, open(t, dir).Store)
}

func TestRemove(t *testing.T) {
	testutil.CheckFDs(t)
	dir := t.TempDir()
	if err := Remove(dir); err != nil {
		t.Errorf("remove from an empty directory: %v", err)
	}
	o := open(t, dir)
	save(t, o.Store, sample(1))
	closeStore(t, o.Store)
	if err := Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read after remove: %v", err)
	}
}

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

// Those set aside do not fill the disk.
func TestSetAsideIsBounded(t *testing.T) {
	dir := t.TempDir()
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

func TestUnwritableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	overwrite([]byte("x"))(t, file)
	for name, dir := range map[string]string{"a file": file, "below a file": filepath.Join(file, "dir"), "proc": "/proc/sys/state"} {
		_, err := Open(dir, testNow)
		if err == nil || !strings.Contains(err.Error(), dir) || errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, databaseName), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, testNow); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("a directory in the place of the database: %v", err)
	}
}

// A full disk: the record before stays, and saving works again when there is room.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("a small disk needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	o := open(t, dir)
	save(t, o.Store, sample(1))
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
	big := sample(1)
	big.Version = strings.Repeat("v", 100<<10)
	if aside, err := o.Store.Save(big); !errors.Is(err, unix.ENOSPC) || aside != "" {
		t.Fatalf("save on a full disk: %q, %v", aside, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	save(t, o.Store, sample(2))
	closeStore(t, o.Store)
	if saved, err := Read(dir); err != nil || saved.Stats.Finished.Count != 2 {
		t.Errorf("%+v, %v", saved, err)
	}
}

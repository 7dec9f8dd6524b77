// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
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
	dir := testutil.SmallDisk(t, "256k")
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

// A process that starts on a full disk has the record, and saves once there is room.
func TestOpenOnAFullDisk(t *testing.T) {
	dir := testutil.SmallDisk(t, "256k")
	o := open(t, dir)
	save(t, o.Store, sample(1))
	closeStore(t, o.Store)
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("fill the disk: %v", err)
	}
	o = open(t, dir)
	if o.SetAside != "" || o.Saved.Stats.Finished.Count != 1 {
		t.Errorf("on a full disk: %+v", o)
	}
	if aside, err := o.Store.Save(sample(2)); !NoRoom(err) || aside != "" {
		t.Errorf("save on a full disk: %q, %v", aside, err)
	}
	closeStore(t, o.Store)
	o = open(t, dir)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	save(t, o.Store, sample(3))
	closeStore(t, o.Store)
	if saved, err := Read(dir); err != nil || saved.Stats.Finished.Count != 3 {
		t.Errorf("%+v, %v", saved, err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"probe/internal/state"
	"probe/internal/testutil"
	"probe/pkg/events"
	"probe/pkg/stats"
)

// memoryOn returns a memory whose clock the test moves.
func memoryOn(t *testing.T, dir string) (m *keeper, r *stats.Recorder, log *testutil.Buffer, nowNS *uint64) {
	t.Helper()
	now := 1000 * second
	log = new(testutil.Buffer)
	m = &keeper{
		part: &newParts().memory, log: slog.New(slog.NewTextHandler(log, nil)),
		nowNS: func() uint64 { return now }, wall: func() time.Time { return time.Unix(0, int64(now)) },
	}
	r = stats.New(stats.Options{})
	if err := remember(dir, "v1", r, m); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return m, r, log, &now
}

func countOne(r *stats.Recorder) {
	r.Record(&events.Request{Role: events.RoleServer, Status: 200, Duration: time.Millisecond})
}

// Nothing is written while nothing happens, but for the run time now and then.
func TestMemoryRestsOnAQuietHost(t *testing.T) {
	m, r, _, now := memoryOn(t, t.TempDir())
	flush := func() uint64 {
		*now += 10 * second
		m.put(r.State())
		m.writePending()
		return m.saves.Load()
	}
	first := m.saves.Load() // at the start
	countOne(r)
	if got := flush(); got != first+1 {
		t.Errorf("%d writes after a request, want one", got-first)
	}
	for range 5 {
		flush()
	}
	if got := m.saves.Load(); got != first+1 {
		t.Errorf("%d writes within 50 quiet seconds, want none", got-first-1)
	}
	if got := flush(); got != first+2 {
		t.Errorf("%d writes after a quiet minute, want one", got-first-1)
	}
}

// A full disk: the agent goes on and counts, says so once a minute, and writes
// everything when there is room again.
func TestMemoryOnAFullDisk(t *testing.T) {
	dir := testutil.SmallDisk(t, "256k")
	m, r, log, now := memoryOn(t, dir)
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	m.version = strings.Repeat("v", 100<<10) // a record that needs room
	const flushes = 13
	for range flushes { // two minutes
		countOne(r)
		*now += 10 * second
		m.put(r.State())
		m.writePending()
	}
	if got := m.failures.Load(); got != flushes {
		t.Errorf("%d failures counted, want %d", got, flushes)
	}
	if got := strings.Count(log.String(), "totals not saved"); got != 3 {
		t.Errorf("told %d times within two minutes, want at 0, 1 and 2:\n%s", got, log)
	}
	if s := m.status(dir); !strings.Contains(s.Err, "no space left") || s.Failed != flushes {
		t.Errorf("status %+v", s)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	m.version = "v1"
	m.put(r.State())
	m.writePending()
	if s := m.status(dir); s.Err != "" || s.Failed != flushes {
		t.Errorf("status with room again: %+v", s)
	}
	if err := m.store.Close(); err != nil {
		t.Fatal(err)
	}
	if saved, err := state.Read(dir); err != nil || saved.Stats.Finished.Count != flushes {
		t.Errorf("%+v, %v", saved, err)
	}
}

// A disk that is full at the start: what was kept goes on, and is written when
// there is room again.
func TestMemoryStartsOnAFullDisk(t *testing.T) {
	dir := testutil.SmallDisk(t, "256k")
	m, r, _, _ := memoryOn(t, dir)
	countOne(r)
	m.put(r.State())
	m.writePending()
	if err := m.store.Close(); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	m, r, log, _ := memoryOn(t, dir)
	if got := strings.Count(log.String(), "totals not saved"); got != 1 || m.failures.Load() != 1 {
		t.Errorf("told %d times, %d failures, want 1 and 1: %s", got, m.failures.Load(), log)
	}
	countOne(r)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	m.put(r.State())
	m.writePending()
	if err := m.store.Close(); err != nil {
		t.Fatal(err)
	}
	if saved, err := state.Read(dir); err != nil || saved.Stats.Finished.Count != 2 || saved.Starts != 2 {
		t.Errorf("%+v, %v", saved, err)
	}
}

// A reset is written even if nothing was counted since.
func TestMemoryForgets(t *testing.T) {
	dir := t.TempDir()
	m, r, _, now := memoryOn(t, dir)
	countOne(r)
	m.put(r.State())
	m.writePending()
	*now += second
	r.Reset()
	m.reset()
	m.put(r.State())
	m.writePending()
	if err := m.store.Close(); err != nil {
		t.Fatal(err)
	}
	saved, err := state.Read(dir)
	if err != nil || saved.Stats.Finished.Count != 0 || saved.Starts != 1 || !saved.Since.Equal(time.Unix(1001, 0)) {
		t.Errorf("%+v, %v", saved, err)
	}
}

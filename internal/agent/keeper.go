// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"probe/internal/state"
	"probe/pkg/stats"
)

const (
	// idleSave is how often the state is written while nothing is counted: only
	// the run time changes then.
	idleSave = time.Minute
	// syncEvery bounds how often the disk is asked to have it all: what the end
	// of the machine may cost, as opposed to that of the program.
	syncEvery = 10 * time.Second
)

// keeper writes the totals to disk, beside the pipeline, which gives it a copy
// at each flush. It runs as a service.
type keeper struct {
	part    *part
	log     *slog.Logger
	wall    func() time.Time
	nowNS   func() uint64
	version string
	store   *state.Store
	wake    chan struct{}
	written chan struct{} // something that is to be synced

	series stats.SeriesTotals

	// mu guards what follows.
	mu      sync.Mutex
	since   time.Time
	starts  uint64
	pending *stats.State // to be written
	savedAt time.Time    // of the last that was written
	lastErr string

	// Only the goroutine that writes uses these.
	counted    [stats.NumRoles]stats.Counters // in the last that was written
	writtenNS  uint64
	complainNS uint64

	saves, failures atomic.Uint64
}

// remember opens the state directory and gives the recorder what is in it.
func remember(dir, version string, r *stats.Recorder, m *keeper) error {
	opened, err := state.Open(dir, m.wall)
	if err != nil {
		return err
	}
	m.store, m.version = opened.Store, version
	m.wake, m.written = make(chan struct{}, 1), make(chan struct{}, 1)
	if opened.SetAside != "" {
		m.log.Warn("state set aside; counting begins anew", "what", opened.SetAside)
	}
	m.since, m.starts = opened.Saved.Since, opened.Saved.Starts+1
	if m.since.IsZero() {
		m.since = m.wall()
	} else if err := errors.Join(r.Restore(opened.Saved.Stats), m.series.Restore(opened.Saved.Series)); err != nil { // Open has checked it
		return errors.Join(err, m.store.Close())
	}
	// The first write shows whether there can be others. A disk that is full is
	// no reason not to start: that is when people look at the figures.
	err = m.write(r.State())
	if err != nil && !state.NoRoom(err) {
		return errors.Join(err, m.store.Close())
	}
	m.complain(err)
	m.log.Info("totals go on", "state_dir", dir, "since", m.since.UTC(), "starts", m.starts)
	return nil
}

// openMemory takes the state directory, if there is to be one.
func (a *Agent) openMemory() error {
	if a.opt.StateDir == "" {
		return nil
	}
	m := &keeper{
		part: &a.parts.memory, log: a.log, nowNS: a.clock.Now,
		wall: func() time.Time { return a.clock.Wall(a.clock.Now()).UTC() },
	}
	if err := remember(a.opt.StateDir, a.opt.Version, a.stats, m); err != nil {
		return err
	}
	holder := state.Holder{PID: os.Getpid()}
	if a.server != nil {
		holder.Listen = a.server.address
	}
	switch err := m.store.Announce(holder); {
	case state.NoRoom(err):
		a.log.Warn("probe status and probe reset do not find this agent by its directory", "error", err)
	case err != nil:
		return errors.Join(err, m.store.Close())
	}
	a.memory = m
	return nil
}

// closeMemory writes the last totals. A pipeline that does not stop cannot be
// asked for them, and a write that does not end cannot be followed by another:
// then those of the last flush stay.
func (a *Agent) closeMemory(ran error) error {
	if a.memory == nil {
		return nil
	}
	if errors.Is(ran, errStuck) || a.memory.part.sinceNS.Load() != 0 {
		return nil
	}
	last := a.stats.State()
	return a.memory.finish(&last)
}

func (m *keeper) String() string { return m.part.name }

// put hands over a copy to be written; a copy not written yet is replaced.
func (m *keeper) put(s stats.State) {
	m.mu.Lock()
	m.pending = &s
	m.mu.Unlock()
	knock(m.wake)
}

// knock wakes who waits at the channel; a knock not heard yet is enough.
func knock(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add adds an interval to the totals of its series. A nil keeper has none.
func (m *keeper) add(s *stats.Snapshot) {
	if m != nil {
		m.series.Add(s)
	}
}

// reset lets counting begin now. The next put writes it.
func (m *keeper) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.since, m.starts = m.wall(), 1
	m.series.Reset()
}

// Serve writes what is put until ctx ends.
func (m *keeper) Serve(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.wake:
			m.writePending()
		}
	}
}

func (m *keeper) writePending() {
	m.mu.Lock()
	s := m.pending
	m.pending = nil
	m.mu.Unlock()
	now := m.nowNS()
	if s == nil || (s.ByRole == m.counted && now-m.writtenNS < uint64(idleSave)) {
		return
	}
	m.part.begin(now)
	defer m.part.end()
	m.complain(m.write(*s))
}

// complain about a write that failed, unless it was told a moment ago.
func (m *keeper) complain(err error) {
	now := m.nowNS()
	if err == nil || m.complainNS != 0 && now-m.complainNS < uint64(complaintEvery) {
		return
	}
	m.complainNS = now
	m.log.Error("totals not saved; they are kept in memory", "error", err, "failures", m.failures.Load())
}

func (m *keeper) write(s stats.State) error {
	m.mu.Lock()
	saved := state.Saved{Since: m.since, Starts: m.starts, Version: m.version, Stats: s, Series: m.series.List()}
	m.mu.Unlock()
	setAside, err := m.store.Save(saved)
	if setAside != "" {
		m.log.Warn("state set aside; written anew", "what", setAside)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.failures.Add(1)
		m.lastErr = err.Error()
		return err
	}
	m.saves.Add(1)
	m.counted, m.writtenNS = s.ByRole, m.nowNS()
	m.savedAt, m.lastErr = m.wall(), ""
	knock(m.written)
	return nil
}

// syncer lets what a keeper has written reach the disk. It is a service of its
// own because a busy disk can take seconds for it, and the next write must not
// wait for that.
type syncer struct {
	keeper *keeper
	part   *part
}

func (s *syncer) String() string { return s.part.name }

// Serve syncs after writes until ctx ends.
func (s *syncer) Serve(ctx context.Context) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.keeper.written:
		}
		s.sync()
		pause.Reset(syncEvery)
	}
}

func (s *syncer) sync() {
	s.part.begin(s.keeper.nowNS())
	defer s.part.end()
	if err := s.keeper.store.Sync(); err != nil {
		s.keeper.failures.Add(1)
		s.keeper.log.Error("totals may not survive a power failure", "error", err)
	}
}

// finish writes the last copy and lets go of the directory. Serve has returned.
func (m *keeper) finish(s *stats.State) error {
	return errors.Join(m.write(*s), m.store.Close())
}

// memoryStatus is what is shown of it.
type memoryStatus struct {
	Dir     string    `json:"dir"`
	Since   time.Time `json:"since"`
	SavedAt time.Time `json:"saved_at"`
	Starts  uint64    `json:"starts"`
	Saves   uint64    `json:"saves"`
	Failed  uint64    `json:"save_errors"`
	Err     string    `json:"error,omitempty"`
}

func (m *keeper) status(dir string) memoryStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	return memoryStatus{
		Dir: dir, Since: m.since, SavedAt: m.savedAt, Starts: m.starts,
		Saves: m.saves.Load(), Failed: m.failures.Load(), Err: m.lastErr,
	}
}

// SPDX-License-Identifier: Apache-2.0

package export

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"probe/internal/owner"
)

// ErrSpool is wrapped by every error about the spool directory.
var ErrSpool = errors.New("spool")

const (
	// Files of a spool: segments, what is confirmed, and the lock.
	segmentSuffix = ".lines"
	ackedFile     = "confirmed"
	lockFile      = "lock"
	// A segment is a spoolSegments-th of the spool, within these limits.
	spoolSegments = 16
	minSegment    = 64 << 10
	maxSegment    = 16 << 20
	ackedBytes    = 24
	lockTries     = 10
	// The lines name services and routes of the host. A link in place of a file
	// is not followed.
	spoolDirMode, spoolFileMode = 0o700, 0o600
	spoolFlags                  = os.O_RDWR
	lockPause                   = 20 * time.Millisecond
)

// spool keeps payloads in files, so that they outlive the process. It writes
// each payload before it is sent, does not wait for the disk (what the process
// has written survives its death, not that of the machine), and gives a file
// back when all of it is confirmed.
//
// It is not safe for concurrent use.
type spool struct {
	dir          string
	limit        int64
	segmentLimit int64
	lock, acked  *os.File
	segments     []*segmentFile // oldest first; the last one is written to
	nextSeq      uint64
	size         int64
	// savedSeq and savedSkip are what the file of the confirmed says.
	savedSeq  uint64
	savedSkip int
	// torn are the pieces found at the start that were not whole.
	torn uint64
}

// spoolRef is where a payload is; the zero value is nowhere.
type spoolRef struct {
	segment uint64
	seq     uint64
	offset  int64 // of the payload in the file
	size    int
}

// found is a payload of an earlier process. skip is what the peer has of it, in
// bytes, and confirmed in lines.
type found struct {
	ref             spoolRef
	lines           int
	wallNS          int64
	skip, confirmed int
}

// openSpool makes the directory if need be, takes its lock, and returns the
// payloads that wait in it, in order.
func openSpool(dir string, limit int64) (*spool, []found, error) {
	s := &spool{
		dir: dir, limit: limit, nextSeq: 1,
		segmentLimit: min(max(limit/spoolSegments, minSegment), maxSegment),
	}
	waiting, err := s.open()
	if err != nil {
		return nil, nil, fmt.Errorf("%w %s: %w", ErrSpool, dir, errors.Join(owner.Explain(err), s.close()))
	}
	return s, waiting, nil
}

func (s *spool) open() ([]found, error) {
	if err := owner.MkdirAll(s.dir, spoolDirMode); err != nil {
		return nil, err
	}
	var err error
	if s.lock, err = owner.Open(filepath.Join(s.dir, lockFile), spoolFlags|os.O_CREATE, spoolFileMode); err != nil {
		return nil, err
	}
	if err := s.takeLock(); err != nil {
		return nil, err
	}
	if s.acked, err = owner.Open(filepath.Join(s.dir, ackedFile), spoolFlags|os.O_CREATE, spoolFileMode); err != nil {
		return nil, err
	}
	waiting, err := s.recover()
	if err != nil {
		return nil, err
	}
	s.reserveAcked()
	// A directory that cannot be written must be known now, not in an outage.
	return waiting, s.roll()
}

// takeLock waits a moment for a process that is about to end.
func (s *spool) takeLock() (err error) {
	for range lockTries {
		err = unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		time.Sleep(lockPause)
	}
	return fmt.Errorf("in use by another process: %w", err)
}

// full reports whether n more bytes exceed the limit.
func (s *spool) full(n int) bool { return s.size+int64(frameHeader+n) > s.limit }

// append writes a payload. After an error nothing of it is in the file.
func (s *spool) append(payload []byte, lines int, wallNS int64) (spoolRef, error) {
	if s.segments[len(s.segments)-1].size+int64(frameHeader+len(payload)) > s.segmentLimit {
		if err := s.roll(); err != nil {
			return spoolRef{}, fmt.Errorf("%w: %w", ErrSpool, err)
		}
	}
	seg := s.segments[len(s.segments)-1]
	offset := seg.size
	if err := seg.append(frame{seq: s.nextSeq, wallNS: wallNS, lines: uint32(lines), payload: payload}); err != nil {
		return spoolRef{}, fmt.Errorf("%w: %w", ErrSpool, err)
	}
	s.size += seg.size - offset
	ref := spoolRef{segment: seg.id, seq: s.nextSeq, offset: offset + frameHeader, size: len(payload)}
	s.nextSeq++
	return ref, nil
}

// read returns a payload.
func (s *spool) read(ref spoolRef) ([]byte, error) {
	i := s.find(ref.segment)
	if i < 0 {
		return nil, fmt.Errorf("%w: segment %d is gone", ErrSpool, ref.segment)
	}
	payload, err := s.segments[i].read(ref)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSpool, err)
	}
	return payload, nil
}

// release gives a payload up; its segment goes with the last one.
func (s *spool) release(ref spoolRef) {
	i := s.find(ref.segment)
	if i < 0 {
		return
	}
	s.segments[i].live--
	if s.segments[i].live == 0 && i < len(s.segments)-1 {
		s.retire(ref.segment)
	}
}

// oldest returns the oldest segment but the one that is written to, which it
// closes if it is the only one and has something.
func (s *spool) oldest() (segment uint64, found bool) {
	if len(s.segments) == 1 {
		if s.segments[0].size == 0 || s.roll() != nil {
			return 0, false
		}
	}
	return s.segments[0].id, true
}

// retire removes a segment; a second time does nothing.
func (s *spool) retire(id uint64) {
	i := s.find(id)
	if i < 0 || i == len(s.segments)-1 {
		return
	}
	seg := s.segments[i]
	s.size -= seg.size
	// A file that stays behind is found at the next start and its lines are
	// confirmed by then.
	_ = seg.remove()
	s.segments = slices.Delete(s.segments, i, i+1)
}

// beginAnew gives up the segment that is written to if nothing waits in it.
func (s *spool) beginAnew() bool {
	last := s.segments[len(s.segments)-1]
	return last.live == 0 && last.size > 0 && s.roll() == nil
}

// roll begins a new segment.
func (s *spool) roll() error {
	if n := len(s.segments); n > 0 && s.segments[n-1].live == 0 {
		defer s.retire(s.segments[n-1].id)
	}
	seg, err := createSegment(s.dir, s.nextSeq)
	if err != nil {
		return err
	}
	s.segments = append(s.segments, seg)
	return nil
}

func (s *spool) find(id uint64) int {
	return slices.IndexFunc(s.segments, func(seg *segmentFile) bool { return seg.id == id })
}

// saveAcked notes that everything before the payload seq is confirmed or
// dropped, and of that one the first skip bytes.
func (s *spool) saveAcked(seq uint64, skip int) {
	if seq == s.savedSeq && skip == s.savedSkip {
		return
	}
	s.savedSeq, s.savedSkip = seq, skip
	var b [ackedBytes]byte
	binary.LittleEndian.PutUint64(b[0:], seq)
	binary.LittleEndian.PutUint64(b[8:], uint64(skip))
	binary.LittleEndian.PutUint32(b[16:], crc32.Checksum(b[:16], castagnoli()))
	// If it fails a restart sends again what this would have saved.
	_, _ = s.acked.WriteAt(b[:], 0)
}

// reserveAcked gives the note its place on the disk, which may be full when there
// is something to note.
func (s *spool) reserveAcked() {
	if info, err := s.acked.Stat(); err == nil && info.Size() == 0 {
		var b [ackedBytes]byte // read as nothing confirmed
		_, _ = s.acked.WriteAt(b[:], 0)
	}
}

// loadAcked returns what saveAcked noted; 0 without a whole note.
func (s *spool) loadAcked() (seq uint64, skip int) {
	var b [ackedBytes]byte
	if n, _ := s.acked.ReadAt(b[:], 0); n < ackedBytes {
		return 0, 0
	}
	if binary.LittleEndian.Uint32(b[16:]) != crc32.Checksum(b[:16], castagnoli()) {
		return 0, 0
	}
	return binary.LittleEndian.Uint64(b[0:]), int(binary.LittleEndian.Uint64(b[8:]))
}

// close keeps the files.
func (s *spool) close() error {
	var all error
	for _, seg := range s.segments {
		all = errors.Join(all, seg.close())
	}
	s.segments = nil
	for _, f := range []*os.File{s.acked, s.lock} {
		if f != nil {
			all = errors.Join(all, f.Close())
		}
	}
	return all
}

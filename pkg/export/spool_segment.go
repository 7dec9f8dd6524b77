// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"probe/internal/owner"
)

// A segment is a file of frames. A frame is a header in little endian
//
//	magic, length of the payload, lines, checksum: uint32
//	sequence number: uint64, wall time in ns: int64
//
// and a payload of whole lines. The checksum is CRC-32C of the header without
// it and the payload.
const (
	frameMagic  = 0x31535250 // "PRS1": another format has another number
	frameHeader = 32
	// maxFrame bounds what a header may ask for.
	maxFrame = entryBytes
)

// errTorn: what follows is not a whole frame.
var errTorn = errors.New("not a whole frame")

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }

type frame struct {
	seq     uint64
	wallNS  int64
	lines   uint32
	payload []byte
}

// appendFrame appends a frame.
func appendFrame(dst []byte, f frame) []byte {
	first := len(dst)
	dst = binary.LittleEndian.AppendUint32(dst, frameMagic)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(f.payload)))
	dst = binary.LittleEndian.AppendUint32(dst, f.lines)
	dst = binary.LittleEndian.AppendUint32(dst, 0)
	dst = binary.LittleEndian.AppendUint64(dst, f.seq)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.wallNS))
	dst = append(dst, f.payload...)
	binary.LittleEndian.PutUint32(dst[first+12:], frameChecksum(dst[first:]))
	return dst
}

func frameChecksum(b []byte) uint32 {
	sum := crc32.Update(0, castagnoli(), b[:12])
	return crc32.Update(sum, castagnoli(), b[16:])
}

// parseFrame reads the first frame and returns its length. The payload is part
// of b. Errors wrap errTorn.
func parseFrame(b []byte) (frame, int, error) {
	if len(b) < frameHeader || binary.LittleEndian.Uint32(b) != frameMagic {
		return frame{}, 0, fmt.Errorf("%w: no header", errTorn)
	}
	length := uint64(binary.LittleEndian.Uint32(b[4:]))
	if length == 0 || length > maxFrame || uint64(len(b)) < frameHeader+length {
		return frame{}, 0, fmt.Errorf("%w: length %d", errTorn, length)
	}
	b = b[:frameHeader+length]
	if binary.LittleEndian.Uint32(b[12:]) != frameChecksum(b) {
		return frame{}, 0, fmt.Errorf("%w: checksum", errTorn)
	}
	f := frame{
		lines: binary.LittleEndian.Uint32(b[8:]), seq: binary.LittleEndian.Uint64(b[16:]),
		wallNS: int64(binary.LittleEndian.Uint64(b[24:])), payload: b[frameHeader:],
	}
	if f.payload[length-1] != '\n' || uint64(f.lines) != uint64(bytes.Count(f.payload, []byte{'\n'})) {
		return frame{}, 0, fmt.Errorf("%w: not whole lines", errTorn)
	}
	return f, len(b), nil
}

// segmentFile is one file. live counts the payloads that are not released.
type segmentFile struct {
	id   uint64
	file *os.File
	size int64
	live int
	buf  []byte
}

func segmentPath(dir string, id uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x%s", id, segmentSuffix))
}

// createSegment makes the file for payloads from the sequence number id on.
func createSegment(dir string, id uint64) (*segmentFile, error) {
	file, err := owner.Open(segmentPath(dir, id), spoolFlags|os.O_CREATE|os.O_TRUNC, spoolFileMode)
	if err != nil {
		return nil, err
	}
	return &segmentFile{id: id, file: file}, nil
}

// append writes a frame at the end, or nothing.
func (s *segmentFile) append(f frame) error {
	s.buf = appendFrame(s.buf[:0], f)
	if _, err := s.file.WriteAt(s.buf, s.size); err != nil {
		// What is there of the frame is cut here, overwritten by the next one,
		// or found torn.
		_ = s.file.Truncate(s.size)
		return err
	}
	s.size += int64(len(s.buf))
	s.live++
	return nil
}

func (s *segmentFile) read(ref spoolRef) ([]byte, error) {
	b := make([]byte, frameHeader+ref.size)
	if _, err := s.file.ReadAt(b, ref.offset-frameHeader); err != nil {
		return nil, err
	}
	f, _, err := parseFrame(b)
	if err == nil && f.seq != ref.seq {
		err = fmt.Errorf("%w: sequence number %d, want %d", errTorn, f.seq, ref.seq)
	}
	return f.payload, err
}

func (s *segmentFile) close() error { return s.file.Close() }

func (s *segmentFile) remove() error { return errors.Join(s.file.Close(), os.Remove(s.file.Name())) }

// recover reads the segments of an earlier process. A frame that is not whole
// ends its segment: it and what follows are cut off and counted as torn.
func (s *spool) recover() ([]found, error) {
	// Not by a pattern: the name of the directory may look like one.
	files, err := os.ReadDir(s.dir) // sorted
	if err != nil {
		return nil, err
	}
	ackedSeq, ackedSkip := s.loadAcked()
	s.savedSeq, s.savedSkip = ackedSeq, ackedSkip
	s.nextSeq = max(s.nextSeq, ackedSeq)
	var waiting []found
	for _, entry := range files {
		name, found := strings.CutSuffix(entry.Name(), segmentSuffix)
		id, err := strconv.ParseUint(name, 16, 64)
		if !found || err != nil || id == 0 {
			continue // not one of ours
		}
		file, err := owner.Open(filepath.Join(s.dir, entry.Name()), spoolFlags, 0)
		if err != nil {
			return nil, err
		}
		seg := &segmentFile{id: id, file: file}
		s.segments = append(s.segments, seg)
		more, err := s.scan(seg, ackedSeq, ackedSkip)
		if err != nil {
			return nil, err
		}
		s.size += seg.size
		waiting = append(waiting, more...)
	}
	for _, seg := range slices.Clone(s.segments) {
		if seg.live == 0 {
			s.size -= seg.size
			if err := seg.remove(); err != nil {
				return nil, err
			}
			s.segments = slices.DeleteFunc(s.segments, func(other *segmentFile) bool { return other == seg })
		}
	}
	return waiting, nil
}

// scan lists the payloads of a segment that are not confirmed.
func (s *spool) scan(seg *segmentFile, ackedSeq uint64, ackedSkip int) (waiting []found, err error) {
	all, err := io.ReadAll(seg.file)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", seg.file.Name(), err)
	}
	last := seg.id - 1
	for seg.size < int64(len(all)) {
		f, n, err := parseFrame(all[seg.size:])
		if err != nil || f.seq <= last {
			s.torn++
			if err := seg.file.Truncate(seg.size); err != nil {
				return nil, err
			}
			break
		}
		last = f.seq
		offset := seg.size + frameHeader
		seg.size += int64(n)
		s.nextSeq = max(s.nextSeq, f.seq+1)
		if f.seq < ackedSeq {
			continue
		}
		one := found{
			ref:   spoolRef{segment: seg.id, seq: f.seq, offset: offset, size: len(f.payload)},
			lines: int(f.lines), wallNS: f.wallNS,
		}
		if f.seq == ackedSeq && ackedSkip >= 0 && ackedSkip < len(f.payload) {
			one.skip, one.confirmed = ackedSkip, bytes.Count(f.payload[:ackedSkip], []byte{'\n'})
		}
		seg.live++
		waiting = append(waiting, one)
	}
	return waiting, nil
}

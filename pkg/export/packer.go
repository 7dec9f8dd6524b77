// SPDX-License-Identifier: Apache-2.0

package export

import "bytes"

// Framing is how a payload ends.
type Framing uint8

// Framings.
const (
	// Datagram payloads have no '\n' after the last line.
	Datagram Framing = iota
	// Stream payloads end each line with '\n'.
	Stream
)

// Packer puts whole lines into payloads of at most max bytes. It never splits
// a line; a line longer than a payload is dropped and counted.
//
// Lines are appended to the slice of Buffer and handed over by Commit, or
// handed over as one by AddTogether. Each line ends in '\n'.
type Packer struct {
	max     int
	framing Framing
	send    func(payload []byte, lines int)
	// pending holds complete lines; between calls they fit into one payload.
	pending []byte
	tooLong uint64
}

// NewPacker returns a Packer that hands each payload to send, which borrows it
// until it returns.
func NewPacker(max int, framing Framing, send func(payload []byte, lines int)) *Packer {
	return &Packer{max: max, framing: framing, send: send}
}

// Buffer returns the slice to append lines to; what is in it must stay.
func (p *Packer) Buffer() []byte { return p.pending }

// Commit takes the result of appending to Buffer and sends all full payloads.
func (p *Packer) Commit(appended []byte) {
	rest := appended
	for p.size(rest) > p.max {
		end := bytes.LastIndexByte(rest[:p.room()], '\n')
		if end < 0 {
			p.tooLong++
			rest = rest[bytes.IndexByte(rest, '\n')+1:]
			continue
		}
		p.emit(rest[:end+1])
		rest = rest[end+1:]
	}
	p.pending = appended[:copy(appended, rest)]
}

// AddTogether adds lines that must arrive in the same packet, or not at all.
func (p *Packer) AddTogether(lines []byte) {
	if p.size(lines) > p.max {
		p.tooLong += uint64(bytes.Count(lines, []byte{'\n'}))
		return
	}
	if p.size(p.pending)+len(lines) > p.max {
		p.Flush()
	}
	// What is pending now fits into one payload, and Commit cuts as late as it
	// can: it will not cut within these lines.
	p.pending = append(p.pending, lines...)
	p.Commit(p.pending)
}

// Flush sends what is pending.
func (p *Packer) Flush() {
	if len(p.pending) > 0 {
		p.emit(p.pending)
		p.pending = p.pending[:0]
	}
}

// TooLong returns the number of lines dropped because no payload holds them.
func (p *Packer) TooLong() uint64 { return p.tooLong }

// size is the payload's length for complete lines.
func (p *Packer) size(lines []byte) int {
	if p.framing == Datagram {
		return len(lines) - 1
	}
	return len(lines)
}

// room is the number of bytes, '\n' included, that fit into a payload.
func (p *Packer) room() int {
	if p.framing == Datagram {
		return p.max + 1
	}
	return p.max
}

func (p *Packer) emit(lines []byte) {
	p.send(lines[:p.size(lines)], bytes.Count(lines, []byte{'\n'}))
}

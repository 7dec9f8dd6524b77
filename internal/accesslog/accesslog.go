// SPDX-License-Identifier: Apache-2.0

// Package accesslog prints one line per request: text for people, JSON for
// machines. The JSON names are stable (README, "probe trace --json").
package accesslog

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

	"probe/pkg/events"
)

// Options of a Printer.
type Options struct {
	// JSON prints one object per line instead of text.
	JSON bool
	// Query keeps the query string of the target; without it everything from
	// the first '?' is left out.
	Query bool
	// Slow prints only requests that took at least this long, each as one
	// sentence that says where the time went (JSON: in "blame"). 0: everything.
	Slow time.Duration
	// MemoryPressure returns the host's memory pressure, the share of the last
	// ten seconds in which some task waited for memory, in per cent; false where
	// it is not known. nil: left out.
	MemoryPressure func() (some float64, ok bool)
	// Wall converts CLOCK_MONOTONIC nanoseconds to wall time.
	Wall func(monoNS uint64) time.Time
}

// flushSize is when the buffered lines are written before Flush is called.
const flushSize = 64 << 10

// Printer collects lines and writes them in few calls. Not safe for concurrent use.
type Printer struct {
	opt Options
	out io.Writer
	buf []byte
	// sentence is room for a blame inside JSON, shown for a target.
	sentence, shown []byte
	err             error
	// Lines printed, and lines lost to a failed write.
	printed, lost uint64
	unflushed     uint64
}

// New returns a Printer that writes to out.
func New(out io.Writer, o Options) *Printer { return &Printer{opt: o, out: out} }

// Print adds the line of one request.
func (p *Printer) Print(q *events.Request) {
	switch {
	case q.Duration < p.opt.Slow:
		return
	case p.opt.JSON:
		p.buf = p.appendJSON(p.buf, q)
	case p.opt.Slow > 0:
		p.buf = p.appendSlow(p.buf, q)
	default:
		p.buf = p.appendText(p.buf, q)
	}
	p.unflushed++
	if len(p.buf) >= flushSize {
		_ = p.Flush() // the error is kept and returned by the next Flush
	}
}

// Flush writes the collected lines. After a failed write every call returns its
// error; the lines since are counted as lost.
func (p *Printer) Flush() error {
	if len(p.buf) == 0 {
		return p.err
	}
	if p.err == nil {
		if _, err := p.out.Write(p.buf); err != nil {
			p.err = fmt.Errorf("write access log: %w", err)
		}
	}
	if p.err != nil {
		p.lost += p.unflushed
	} else {
		p.printed += p.unflushed
	}
	p.unflushed = 0
	p.buf = p.buf[:0]
	return p.err
}

// Counts returns the lines written and the lines lost to a failed write.
func (p *Printer) Counts() (printed, lost uint64) { return p.printed, p.lost }

func (p *Printer) wall(q *events.Request) time.Time {
	if q.StartNS != 0 {
		return p.opt.Wall(q.StartNS)
	}
	return p.opt.Wall(q.EndNS)
}

// appendSlow: time, role, service and the sentence.
func (p *Printer) appendSlow(b []byte, q *events.Request) []byte {
	b = p.appendBlame(p.appendWho(b, q), q)
	return append(b, '\n')
}

// appendWho: time, role, service and process.
func (p *Printer) appendWho(b []byte, q *events.Request) []byte {
	b = p.wall(q).Local().AppendFormat(b, "15:04:05.000")
	b = append(b, ' ')
	if q.Role == events.RoleClient {
		b = append(b, "-> "...)
	}
	b = appendVisible(b, q.Service)
	b = append(b, '[')
	b = strconv.AppendUint(b, uint64(q.PID), 10)
	return append(b, "] "...)
}

// appendText: who, method and target, status, duration and its parts, bytes,
// peer.
func (p *Printer) appendText(b []byte, q *events.Request) []byte {
	b = p.appendWho(b, q)
	if len(q.Method) == 0 {
		b = append(b, "(request not seen)"...)
	} else {
		b = appendVisible(b, q.Method)
		b = append(b, ' ')
		b = appendVisible(b, p.target(q))
		if q.Flags&events.FlagTargetCut != 0 {
			b = append(b, "..."...)
		}
	}
	b = append(b, ' ')
	if q.Status != 0 {
		b = strconv.AppendUint(b, uint64(q.Status), 10)
	} else {
		b = append(b, '-')
	}
	if q.Outcome != events.OutcomeOK && q.Outcome != events.OutcomeError {
		b = append(b, ' ')
		b = append(b, q.Outcome.String()...)
	}
	if q.StartNS != 0 {
		b = append(b, ' ')
		b = appendDuration(b, q.Duration)
		if q.TTFB != 0 && q.TTFB < q.Duration {
			b = appendDuration(append(b, " ttfb="...), q.TTFB)
		}
		if q.Wait.Accept > 0 {
			b = appendDuration(append(b, " accept="...), q.Wait.Accept)
		}
		if q.Wait.Socket > 0 {
			b = appendDuration(append(b, " socket="...), q.Wait.Socket)
		}
		b = appendBar(b, q)
	}
	b = append(b, " in="...)
	b = strconv.AppendUint(b, q.RequestBytes, 10)
	b = append(b, " out="...)
	b = strconv.AppendUint(b, q.ResponseBytes, 10)
	b = append(b, ' ')
	b = appendEndpoint(b, q.Conn, q.Conn.Remote)
	return append(b, '\n')
}

// appendDuration prints three or four significant digits with a unit.
func appendDuration(b []byte, d time.Duration) []byte {
	switch {
	case d >= time.Second:
		b = strconv.AppendFloat(b, d.Seconds(), 'f', 3, 64)
		return append(b, 's')
	case d >= time.Millisecond:
		b = strconv.AppendFloat(b, float64(d)/1e6, 'f', 2, 64)
		return append(b, "ms"...)
	}
	b = strconv.AppendInt(b, d.Microseconds(), 10)
	return append(b, "us"...)
}

// appendVisible keeps a line a line: what is not visible ASCII becomes '?'.
func appendVisible[T string | []byte](b []byte, s T) []byte {
	for i := range len(s) {
		c := s[i]
		if c < 0x21 || c > 0x7e {
			c = '?'
		}
		b = append(b, c)
	}
	return b
}

// appendEndpoint prints ip:port, [ip6]:port, "unix", or "unknown".
func appendEndpoint(b []byte, c *events.Conn, e events.Endpoint) []byte {
	switch c.Family {
	case events.FamilyIPv4:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(e.Addr[:4])), e.Port).AppendTo(b)
	case events.FamilyIPv6:
		return netip.AddrPortFrom(netip.AddrFrom16(e.Addr), e.Port).AppendTo(b)
	case events.FamilyUnix:
		return append(b, "unix"...)
	}
	return append(b, "unknown"...)
}

// SPDX-License-Identifier: Apache-2.0

package export

import "sync/atomic"

// Counters are the books of an Exporter since New. Every line it rendered is in
// exactly one of LinesSent, LinesDropped and LinesTooLong.
type Counters struct {
	// PacketsSent were handed to the kernel, with BytesSent payload bytes and
	// LinesSent lines.
	PacketsSent, BytesSent, LinesSent uint64
	// LinesDropped are lost: receiver unreachable, send failed, out of time.
	LinesDropped uint64
	// LinesTooLong are lost, being longer than a payload.
	LinesTooLong uint64
	// LinesRefused are those of LinesSent whose packet was refused. It is a
	// lower bound: the kernel tells about one of several refused packets.
	LinesRefused uint64
	// ErrorsRefused, ErrorsUnresolved and ErrorsOther count failures to send.
	ErrorsRefused, ErrorsUnresolved, ErrorsOther uint64
}

// counters are written by Export and read at any time.
type counters struct {
	packetsSent, bytesSent, linesSent            atomic.Uint64
	linesDropped, linesTooLong, linesRefused     atomic.Uint64
	errorsRefused, errorsUnresolved, errorsOther atomic.Uint64
}

func (c *counters) load() Counters {
	return Counters{
		PacketsSent: c.packetsSent.Load(), BytesSent: c.bytesSent.Load(), LinesSent: c.linesSent.Load(),
		LinesDropped: c.linesDropped.Load(), LinesTooLong: c.linesTooLong.Load(), LinesRefused: c.linesRefused.Load(),
		ErrorsRefused: c.errorsRefused.Load(), ErrorsUnresolved: c.errorsUnresolved.Load(), ErrorsOther: c.errorsOther.Load(),
	}
}

// Report hands each counter to set under its name as a self counter.
func (c Counters) Report(set func(name string, value uint64)) {
	set(selfPacketsSent, c.PacketsSent)
	set(selfBytesSent, c.BytesSent)
	set(selfLinesSent, c.LinesSent)
	set(selfLinesDropped, c.LinesDropped)
	set(selfLinesTooLong, c.LinesTooLong)
	set(selfLinesRefused, c.LinesRefused)
	set(selfErrorsRefused, c.ErrorsRefused)
	set(selfErrorsUnresolved, c.ErrorsUnresolved)
	set(selfErrorsOther, c.ErrorsOther)
}

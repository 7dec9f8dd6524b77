// SPDX-License-Identifier: Apache-2.0

package export

import "sync/atomic"

// Counters are the books of an Exporter or a Client since it was made. Every
// line it rendered is in exactly one of LinesSent, LinesTooLong, LinesDropped,
// DroppedFull, DroppedAge, DroppedSpool, DroppedClosed and the queue
// (Status.QueueLines); those found in a spool at the start are added.
type Counters struct {
	// PacketsSent were handed to the kernel, with BytesSent bytes; on a
	// connection these are writes.
	PacketsSent, BytesSent uint64
	// LinesSent were handed to the kernel; on a connection, they have arrived.
	LinesSent uint64
	// LinesDropped are lost: receiver unreachable, send failed, out of time.
	// Only for targets without a queue.
	LinesDropped uint64
	// LinesTooLong are lost, being longer than a payload.
	LinesTooLong uint64
	// LinesRefused are those of LinesSent whose packet was refused. It is a
	// lower bound: the kernel tells about one of several refused packets.
	LinesRefused uint64
	// LinesReplayed are those of LinesSent that were sent again after a reset,
	// because the receiver may not have read them.
	LinesReplayed uint64
	// DroppedFull, DroppedAge: the oldest lines of a queue that was full, or
	// that were too old. DroppedSpool: on disk, and could not be read.
	// DroppedClosed: not delivered when the program ended, without a spool.
	DroppedFull, DroppedAge, DroppedSpool, DroppedClosed uint64
	// ErrorsRefused, ErrorsUnresolved, ErrorsConnect, ErrorsNoBuffer and
	// ErrorsOther count failures to send or connect; NoBuffer is a receiver
	// that does not read, or a full queue of the kernel.
	ErrorsRefused, ErrorsUnresolved, ErrorsConnect, ErrorsNoBuffer, ErrorsOther uint64
	// ErrorsSpool count payloads that could not be written to the spool, or
	// read; SpoolTorn the ends of files that were not whole at the start.
	ErrorsSpool, SpoolTorn uint64
	// Reconnects are connections lost.
	Reconnects uint64
}

// counters are written by one goroutine or two and read at any time.
type counters struct {
	packetsSent, bytesSent, linesSent, linesDropped, linesTooLong  atomic.Uint64
	linesRefused, linesReplayed                                    atomic.Uint64
	droppedFull, droppedAge, droppedSpool, droppedClosed           atomic.Uint64
	errorsRefused, errorsUnresolved, errorsConnect, errorsNoBuffer atomic.Uint64
	errorsOther, errorsSpool, spoolTorn, reconnects                atomic.Uint64
}

// sent books a payload without a queue.
func (c *counters) sent(payload []byte, lines int) {
	c.packetsSent.Add(1)
	c.bytesSent.Add(uint64(len(payload)))
	c.linesSent.Add(uint64(lines))
}

func (c *counters) load() Counters {
	return Counters{
		PacketsSent: c.packetsSent.Load(), BytesSent: c.bytesSent.Load(), LinesSent: c.linesSent.Load(),
		LinesDropped: c.linesDropped.Load(), LinesTooLong: c.linesTooLong.Load(),
		LinesRefused: c.linesRefused.Load(), LinesReplayed: c.linesReplayed.Load(),
		DroppedFull: c.droppedFull.Load(), DroppedAge: c.droppedAge.Load(),
		DroppedSpool: c.droppedSpool.Load(), DroppedClosed: c.droppedClosed.Load(),
		ErrorsRefused: c.errorsRefused.Load(), ErrorsUnresolved: c.errorsUnresolved.Load(),
		ErrorsConnect: c.errorsConnect.Load(), ErrorsNoBuffer: c.errorsNoBuffer.Load(), ErrorsOther: c.errorsOther.Load(),
		ErrorsSpool: c.errorsSpool.Load(), SpoolTorn: c.spoolTorn.Load(), Reconnects: c.reconnects.Load(),
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
	set(selfLinesReplayed, c.LinesReplayed)
	set(selfDroppedFull, c.DroppedFull)
	set(selfDroppedAge, c.DroppedAge)
	set(selfDroppedSpool, c.DroppedSpool)
	set(selfDroppedClosed, c.DroppedClosed)
	set(selfErrorsRefused, c.ErrorsRefused)
	set(selfErrorsUnresolved, c.ErrorsUnresolved)
	set(selfErrorsConnect, c.ErrorsConnect)
	set(selfErrorsNoBuffer, c.ErrorsNoBuffer)
	set(selfErrorsOther, c.ErrorsOther)
	set(selfErrorsSpool, c.ErrorsSpool)
	set(selfSpoolTorn, c.SpoolTorn)
	set(selfReconnects, c.Reconnects)
}

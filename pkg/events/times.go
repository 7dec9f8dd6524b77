// SPDX-License-Identifier: Apache-2.0

package events

import (
	"encoding/binary"
	"time"
)

// Part is one of the ways a request's time goes, from the read of the request
// to the last byte of its response (bpf/abi.h, enum probe_part).
type Part uint8

// Parts of a request's time.
const (
	PartCPU Part = iota
	// PartRunQueue: ready to run, another task had the CPU.
	PartRunQueue
	// PartThrottled: ready to run, the CPU quota of its group was used up.
	PartThrottled
	// PartMemory: reclaim, compaction, swap-in and major faults.
	PartMemory
	// PartLock: until another thread of the process woke it.
	PartLock
	PartDisk
	// PartNet: until bytes came or went on a socket.
	PartNet
	// PartSleep: until a timer of its own ended.
	PartSleep
	// PartOther: blocked, for none of these reasons; in basic detail, blocked
	// for whatever reason.
	PartOther
	// PartUnattributed is what is not known.
	PartUnattributed
	NumParts = int(PartUnattributed) + 1
)

var partNames = [NumParts]string{"cpu", "runq", "throttled", "memory", "lock", "disk", "net", "sleep", "other", "unattributed"}

// String returns the short name of the part, such as "runq".
func (p Part) String() string { return nameOf(partNames[:], int(p)) }

// Attribution says whose time the parts of a request are.
type Attribution uint8

// Attributions (bpf/abi.h, enum probe_attribution).
const (
	// AttributionNone: not measured.
	AttributionNone Attribution = iota
	// AttributionThread: one thread, which had only this request in hand.
	AttributionThread
	// AttributionHandoff: the thread that read the request woke the one that
	// answered it; their times follow one another.
	AttributionHandoff
	// AttributionLoop: one thread with several requests in hand, as in an event
	// loop; the parts are how that thread spent the time, for all of them.
	AttributionLoop
	// AttributionPartial: it is not known who worked on it; what is not known is
	// in PartUnattributed.
	AttributionPartial
)

var attributionNames = [...]string{"none", "thread", "handoff", "loop", "partial"}

// String returns the stable name, as printed by `probe trace --json`.
func (a Attribution) String() string { return nameOf(attributionNames[:], int(a)) }

// Pusher is the process that held the CPU while the thread had to wait for it.
type Pusher struct {
	// PID is 0 where nobody did.
	PID uint32
	CPU uint32
	// Comm is zero-terminated unless it fills all bytes.
	Comm [16]byte
	// For is how long the thread waited behind it.
	For time.Duration
	// Service and Cgroup are looked up by its pid when the request is told, the
	// latter as in /proc/PID/cgroup. Both are empty if it was gone by then.
	Service, Cgroup string
}

// Name is Comm as text.
func (p *Pusher) Name() string { return commOf(&p.Comm) }

// Times is where the time of a request went. With Attribution other than
// AttributionNone, Wait.Accept, Wait.Socket and all of Part add up to Duration.
type Times struct {
	Attribution              Attribution
	Part                     [NumParts]time.Duration
	MajorFaults, MinorFaults uint32
	PushedBy                 Pusher
}

// RawTimes is the times part of a Record, still in kernel terms.
type RawTimes struct {
	PartNS [NumParts]uint64
	// UntilNS is the time of the last byte that is included.
	UntilNS                  uint64
	MajorFaults, MinorFaults uint32
	PushedNS                 uint64
	PushedPID, PushedCPU     uint32
	PushedComm               [16]byte
	Attribution              Attribution
}

// TimesLen is the size of struct probe_times.
const TimesLen = 136

func decodeTimes(b []byte, t *RawTimes) {
	le := binary.LittleEndian
	_ = b[TimesLen-1]
	for i := range t.PartNS {
		t.PartNS[i] = le.Uint64(b[8*i:])
	}
	t.UntilNS = le.Uint64(b[80:])
	t.MajorFaults, t.MinorFaults = le.Uint32(b[88:]), le.Uint32(b[92:])
	t.PushedNS = le.Uint64(b[96:])
	t.PushedPID, t.PushedCPU = le.Uint32(b[104:]), le.Uint32(b[108:])
	copy(t.PushedComm[:], b[112:128])
	t.Attribution = Attribution(b[128])
	if t.Attribution > AttributionPartial {
		t.Attribution = AttributionPartial
	}
}

func (t *RawTimes) append(dst []byte) []byte {
	le := binary.LittleEndian
	var b [TimesLen]byte
	for i, v := range t.PartNS {
		le.PutUint64(b[8*i:], v)
	}
	le.PutUint64(b[80:], t.UntilNS)
	le.PutUint32(b[88:], t.MajorFaults)
	le.PutUint32(b[92:], t.MinorFaults)
	le.PutUint64(b[96:], t.PushedNS)
	le.PutUint32(b[104:], t.PushedPID)
	le.PutUint32(b[108:], t.PushedCPU)
	copy(b[112:], t.PushedComm[:])
	b[128] = byte(t.Attribution)
	return append(dst, b[:]...)
}

// commOf is a command name without its zero bytes.
func commOf(b *[16]byte) string {
	n := 0
	for n < len(b) && b[n] != 0 {
		n++
	}
	return string(b[:n])
}

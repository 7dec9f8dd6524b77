// SPDX-License-Identifier: Apache-2.0

// Package events turns the kernel side's record bytes into typed events, and
// defines Request, the domain type of the program. It is the only place that
// checks lengths; it knows the layout of bpf/abi.h and nothing of BPF.
package events

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Has says what a Record carries (bpf/abi.h, enum probe_has).
type Has uint16

// Parts of a Record.
const (
	// HasStart: StartNS, ReadNS, TouchNS, ReqOff and ReqHead are of a request.
	HasStart Has = 1 << iota
	// HasStatus: a response begins at RespOff; RespData is its head.
	HasStatus
	// HasMore: RespData is a later piece of the response, at RespOff.
	HasMore
	// HasProgress: only offsets and times.
	HasProgress
	// HasClose: the connection ended.
	HasClose
	// HasConn: Conn is valid.
	HasConn
	// HasFirst: the request arrived as the first bytes of its connection.
	HasFirst
	// HasLate: of a response, its request's record follows; of a request, it
	// is that record.
	HasLate
	// HasReset: the connection was reset, not closed.
	HasReset
	// HasClean: the bytes before this request ended like a head or a chunked body.
	HasClean
	// HasTimes: Times is valid.
	HasTimes
	// HasOnCPU: the thread never left its CPU from ReadNS to the last byte told.
	HasOnCPU
	// HasLoop: ... and had other requests in hand meanwhile.
	HasLoop
	// HasAnew: what was open on the connection before is not known any more.
	HasAnew
	// HasRough: StartNS is known to a tick of the kernel only (1 to 10 ms).
	HasRough

	hasAll = HasRough<<1 - 1
)

// Record is one decoded record of the kernel side. Offsets are positions in the
// byte stream of one direction; times are nanoseconds of CLOCK_MONOTONIC.
type Record struct {
	Has  Has
	Role Role
	// Seq counts the records of one connection, lost ones included.
	Seq      uint32
	PID, TID uint32
	ConnID   uint64
	// StartNS is the arrival of the request when known, else ReadNS; TouchNS
	// the first call on the connection before ReadNS, or 0.
	StartNS, ReadNS, TouchNS uint64
	ReqOff, ReqEnd           uint64
	// NowNS is the time of what the record tells; PrevNS that of the last
	// response byte before it, or 0.
	NowNS, PrevNS    uint64
	PrevRough        bool // PrevNS is known to a tick of the kernel only
	RespOff, RespEnd uint64
	// Tail holds the last bytes before RespEnd, as many as are known (at most 8).
	Tail []byte
	// TailOpen: Tail ends a chunk that was one write, and so not the body.
	TailOpen bool
	// ReqHead and RespData point into the raw record.
	ReqHead, RespData []byte
	Conn              RawConn
	Times             RawTimes
}

// RawConn is the connection part of a Record, still in kernel terms.
type RawConn struct {
	Inode                 uint64
	Family                Family
	LocalPort, RemotePort uint16
	LocalAddr, RemoteAddr [16]byte
	// Comm is zero-terminated unless it fills all bytes.
	Comm   [16]byte
	Cgroup uint64
}

// Layout of struct probe_record and struct probe_conn; a test in pkg/loader
// compares it with the type information of the objects.
const (
	RecordLen = 112
	ConnLen   = 72
	MaxHead   = 512 // PROBE_HEAD_MAX
)

// Errors of Decode.
var (
	// ErrShort: fewer bytes than the record says it has.
	ErrShort = errors.New("record too short")
	// ErrInvalid: a field out of its range.
	ErrInvalid = errors.New("record invalid")
)

// Decode fills r from raw, which r keeps pointing into. On error r is zero.
func Decode(raw []byte, r *Record) error {
	if len(raw) < RecordLen {
		*r = Record{}
		return fmt.Errorf("%w: %d of %d bytes", ErrShort, len(raw), RecordLen)
	}
	b := raw[:RecordLen]
	le := binary.LittleEndian
	r.Has = Has(le.Uint16(b[0:]))
	r.Role = Role(b[2])
	tail := int(b[3])
	reqLen, respLen := int(le.Uint16(b[4:])), int(le.Uint16(b[6:]))
	r.Seq = le.Uint32(b[8:])
	r.PID = le.Uint32(b[12:])
	r.TID = le.Uint32(b[16:])
	r.TailOpen, r.PrevRough = b[20] == 1, b[21] == 1
	r.ConnID = le.Uint64(b[24:])
	r.StartNS = le.Uint64(b[32:])
	r.ReadNS = le.Uint64(b[40:])
	r.TouchNS = le.Uint64(b[48:])
	r.ReqOff = le.Uint64(b[56:])
	r.ReqEnd = le.Uint64(b[64:])
	r.NowNS = le.Uint64(b[72:])
	r.PrevNS = le.Uint64(b[80:])
	r.RespOff = le.Uint64(b[88:])
	r.RespEnd = le.Uint64(b[96:])
	if r.Role > RoleClient || tail > 8 || b[20]|b[21] > 1 || reqLen > MaxHead || respLen > MaxHead || r.Has&^hasAll != 0 || r.RespEnd < r.RespOff {
		*r = Record{}
		return ErrInvalid
	}
	need := RecordLen + respLen + reqLen
	if r.Has&HasConn != 0 {
		need += ConnLen
	}
	if r.Has&HasTimes != 0 {
		need += TimesLen
	}
	if len(raw) < need {
		*r = Record{}
		return fmt.Errorf("%w: %d of %d bytes", ErrShort, len(raw), need)
	}
	r.Tail = b[RecordLen-tail:]
	r.RespData = raw[RecordLen : RecordLen+respLen]
	r.ReqHead = raw[RecordLen+respLen : RecordLen+respLen+reqLen]
	if r.Has&HasTimes != 0 {
		decodeTimes(raw[need-TimesLen:need], &r.Times)
		need -= TimesLen
	}
	if r.Has&HasConn != 0 {
		decodeConn(raw[need-ConnLen:need], &r.Conn)
	}
	return nil
}

func decodeConn(b []byte, c *RawConn) {
	le := binary.LittleEndian
	c.Inode = le.Uint64(b[0:])
	switch b[8] {
	case 1:
		c.Family = FamilyUnix
	case 2:
		c.Family = FamilyIPv4
	case 10:
		c.Family = FamilyIPv6
	default:
		c.Family = FamilyUnknown
	}
	c.LocalPort = le.Uint16(b[12:])
	c.RemotePort = le.Uint16(b[14:])
	copy(c.LocalAddr[:], b[16:32])
	copy(c.RemoteAddr[:], b[32:48])
	copy(c.Comm[:], b[48:64])
	c.Cgroup = le.Uint64(b[64:])
	if c.Family == FamilyIPv6 && isV4Mapped(c.LocalAddr) && isV4Mapped(c.RemoteAddr) {
		c.Family = FamilyIPv4
		c.LocalAddr, c.RemoteAddr = fromV4Mapped(c.LocalAddr), fromV4Mapped(c.RemoteAddr)
	}
}

// isV4Mapped: ::ffff:a.b.c.d, an IPv4 peer of an IPv6 socket (RFC 4291 section
// 2.5.5.2). One peer should have one name.
func isV4Mapped(a [16]byte) bool {
	return [12]byte(a[:12]) == [12]byte{10: 0xff, 11: 0xff}
}

func fromV4Mapped(a [16]byte) (v4 [16]byte) {
	copy(v4[:], a[12:])
	return v4
}

// Name is Comm as text.
func (c *RawConn) Name() string { return commOf(&c.Comm) }

// Connection makes the shared description of the connection with this id.
func (c *RawConn) Connection(id uint64) *Conn {
	return &Conn{
		ID:     id,
		Inode:  c.Inode,
		Family: c.Family,
		Local:  Endpoint{Addr: c.LocalAddr, Port: c.LocalPort},
		Remote: Endpoint{Addr: c.RemoteAddr, Port: c.RemotePort},
		Comm:   commOf(&c.Comm),
		Cgroup: c.Cgroup,
	}
}

// Append encodes r after dst, the inverse of Decode; for tests and replays.
func (r *Record) Append(dst []byte) []byte {
	le := binary.LittleEndian
	var b [RecordLen]byte
	le.PutUint16(b[0:], uint16(r.Has))
	b[2], b[3] = byte(r.Role), byte(len(r.Tail))
	le.PutUint16(b[4:], uint16(len(r.ReqHead)))
	le.PutUint16(b[6:], uint16(len(r.RespData)))
	le.PutUint32(b[8:], r.Seq)
	le.PutUint32(b[12:], r.PID)
	le.PutUint32(b[16:], r.TID)
	if r.TailOpen {
		b[20] = 1
	}
	if r.PrevRough {
		b[21] = 1
	}
	for i, v := range []uint64{r.ConnID, r.StartNS, r.ReadNS, r.TouchNS, r.ReqOff, r.ReqEnd, r.NowNS, r.PrevNS, r.RespOff, r.RespEnd} {
		le.PutUint64(b[24+8*i:], v)
	}
	copy(b[RecordLen-len(r.Tail):], r.Tail)
	dst = append(dst, b[:]...)
	dst = append(dst, r.RespData...)
	dst = append(dst, r.ReqHead...)
	if r.Has&HasConn != 0 {
		dst = r.Conn.append(dst)
	}
	if r.Has&HasTimes != 0 {
		dst = r.Times.append(dst)
	}
	return dst
}

func (c *RawConn) append(dst []byte) []byte {
	le := binary.LittleEndian
	var b [ConnLen]byte
	le.PutUint64(b[0:], c.Inode)
	b[8] = map[Family]byte{FamilyUnix: 1, FamilyIPv4: 2, FamilyIPv6: 10}[c.Family]
	le.PutUint16(b[12:], c.LocalPort)
	le.PutUint16(b[14:], c.RemotePort)
	copy(b[16:], c.LocalAddr[:])
	copy(b[32:], c.RemoteAddr[:])
	copy(b[48:], c.Comm[:])
	le.PutUint64(b[64:], c.Cgroup)
	return append(dst, b[:]...)
}

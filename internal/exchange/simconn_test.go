// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"bytes"

	"probe/pkg/events"
)

// simConn is the kernel side of one connection (bpf/http.bpf.c, bpf/sweep.h),
// line by line where it decides what becomes a record.
type simConn struct {
	capture int
	role    events.Role
	family  events.Family
	id      uint64
	rx, tx  uint64 // stream offsets
	cgroup  uint64

	phase                            simPhase
	seq, tgid, tid                   uint32
	startNS, readNS, touchNS, lastNS uint64
	reqOff                           uint64
	head, tail                       []byte
	respKept, pieces, tries          int
	lastDir                          direction
	announced, headDone, first       bool
	dirty, answered, reported        bool
	ahead, reqClean, afterClean      bool
	raced, anew, tailOpen            bool
	torn                             simTorn
	received, lateEnd                uint64
	flying                           uint64 // bytes sent by a call that has not returned
	starts, notAnswered              uint64 // requests kept, and of these those dropped untold ...
	racedStarts                      uint64 // ... for another reason

	records [][]byte // what the ring holds, in order
}

type simPhase uint8

const (
	phaseUnknown simPhase = iota
	phaseRequest
	phaseResponse
	phaseOver
)

// simTorn is enum torn.
type simTorn uint8

const (
	tornNot simTorn = iota
	tornAll
	tornRequests
)

type direction uint8

const (
	recv direction = iota + 1
	send
)

const (
	simMaxMore = 32 // MAX_MORE
	simPeek    = 16 // PEEK_LEN
	simSure    = 8  // SURE_LEN
	simPID     = 100
	simTID     = 101
)

// piece is one move of bytes through the socket.
type piece struct {
	dir      direction
	data     []byte
	now      uint64
	arrived  uint64 // of the last segment; 0: not known
	unknown  bool   // sendfile, splice: the bytes cannot be read
	off      uint64
	captured []byte
	clean    bool
}

// move is on_piece.
func (k *simConn) move(p piece) {
	if k.raced {
		k.beginAnew()
	}
	if k.phase == phaseOver {
		return
	}
	k.advance(&p)
	unknown := k.phase == phaseUnknown
	if unknown {
		if k.lastDir == p.dir && k.tries > 4 {
			return
		}
		k.lastDir = p.dir
		if k.tries++; k.tries > 13 {
			k.phase = phaseOver
			return
		}
	}
	toServer := !unknown && (p.dir == recv) == (k.role == events.RoleServer)
	limit := k.capture
	if !unknown && !toServer && k.phase == phaseResponse && k.respKept >= k.capture {
		limit = simPeek
	}
	p.captured = p.read(limit)
	request := len(p.captured) > 0 && (unknown || toServer) && looksLikeRequest(p.captured)
	response := (unknown || !toServer) && looksLikeResponse(p.captured) && (len(p.captured) >= 7 || k.phase == phaseRequest)
	if response && limit == simPeek {
		p.captured = p.read(k.capture)
	}
	if toServer && (len(p.captured) < len(p.data) || len(p.captured) >= k.capture || k.phase == phaseRequest || k.torn != tornNot) {
		p.clean = !p.unknown && endsHead(p.data)
	}
	var rest []byte
	switch {
	case unknown:
		rest = k.split(&p, response)
		k.onUnknown(p, request, response)
	case toServer:
		k.onRequestBytes(p, request)
	default:
		if response {
			k.tail = k.tail[:0]
		}
		if !response || len(p.captured) < len(p.data) {
			k.slideTail(p)
		}
		rest = k.split(&p, response)
		k.onResponseBytes(p, response)
	}
	if rest != nil {
		n, off := min(len(rest), k.capture), p.off+uint64(len(p.data))
		k.emit(events.HasMore, p.now, off, off+uint64(len(rest)), rest[:n])
		k.pieces++
		k.respKept += n
	}
	if k.family == events.FamilyUnix && k.phase == phaseRequest && !k.reported {
		k.emit(events.HasStart, p.now, k.respOff(), k.respOff(), nil)
	}
}

// split is split_long_head.
func (k *simConn) split(p *piece, response bool) (rest []byte) {
	n := len(p.captured)
	if !response || n < k.capture || n == len(p.data) || k.ahead || bytes.Contains(p.captured, []byte("\r\n\r\n")) {
		return nil
	}
	rest, p.data = p.data[n:], p.data[:n]
	return rest
}

// leaveOut is leave_out.
func (k *simConn) leaveOut(p piece) {
	k.raced = true
	k.advance(&p)
}

// beginAnew is conn_anew.
func (k *simConn) beginAnew() {
	k.raced, k.torn, k.reqClean = false, tornAll, false
	if k.phase != phaseRequest && k.phase != phaseResponse {
		return
	}
	if k.phase == phaseRequest && !k.reported {
		k.racedStarts++
	}
	k.phase = phaseResponse
	k.anew, k.ahead, k.dirty = true, false, false
	k.lateEnd, k.tail = 0, k.tail[:0]
	k.pieces = simMaxMore
}

func (k *simConn) mends(p piece, begins bool) bool {
	n := len(p.captured)
	if k.torn == tornRequests && begins && (k.reqClean || n >= 4 && isCommonMethod(p.captured[:4])) {
		k.torn = tornNot
		return true
	}
	k.torn, k.reqClean = tornAll, p.clean
	if n == len(p.data) && n < k.capture {
		k.reqClean = endsHead(p.captured)
	}
	return false
}

func (k *simConn) advance(p *piece) {
	off := &k.rx
	if p.dir == send {
		off, k.flying = &k.tx, 0
	}
	p.off = *off
	*off += uint64(len(p.data))
	if p.dir == recv {
		k.received += uint64(len(p.data))
	}
}

func (p *piece) read(limit int) []byte {
	if p.unknown {
		return nil
	}
	return p.data[:min(limit, len(p.data))]
}

func (k *simConn) slideTail(p piece) {
	k.tailOpen = isWholeChunk(p.data) && (len(k.tail) == 0 || k.tail[len(k.tail)-1] == '\n')
	if p.unknown {
		k.tail = k.tail[:0]
		return
	}
	k.tail = append(k.tail, p.data...)
	if len(k.tail) > 8 {
		k.tail = append(k.tail[:0], k.tail[len(k.tail)-8:]...)
	}
}

func (k *simConn) onUnknown(p piece, request, response bool) {
	n := len(p.captured)
	if n >= 3 && p.captured[0] >= 0x14 && p.captured[0] <= 0x17 && p.captured[1] == 3 {
		k.phase = phaseOver // TLS
		return
	}
	request = request && k.torn == tornNot && (k.beginsConnection(p) || isSurelyRequest(p.captured))
	if !request && !response {
		return
	}
	k.role = events.RoleClient
	if (p.dir == recv) == request {
		k.role = events.RoleServer
	}
	if request {
		k.startRequest(p)
		return
	}
	k.tgid, k.tid = simPID, simTID
	k.beginResponse(p)
}

func (k *simConn) beginsConnection(p piece) bool {
	if p.dir == send {
		return k.family == events.FamilyUnix || k.received == 0
	}
	return k.family == events.FamilyUnix || k.received == uint64(len(p.data))
}

func (k *simConn) startRequest(p piece) {
	n := len(p.captured)
	k.starts++
	k.phase = phaseRequest
	k.tgid, k.tid = simPID, simTID
	k.reqOff = p.off
	k.readNS, k.startNS = p.now, p.now
	k.head = append(k.head[:0], p.captured...)
	k.headDone = n >= k.capture || n == len(p.data) && endsHead(p.captured)
	k.afterClean, k.reqClean = k.reqClean, p.clean
	if n == len(p.data) && n < k.capture {
		k.reqClean = k.headDone
	}
	k.first, k.reported, k.ahead = false, false, false
	if p.dir == recv && k.family != events.FamilyUnix {
		if p.arrived != 0 && p.arrived < p.now {
			k.startNS = p.arrived
		}
		k.first = k.received == uint64(len(p.data))
	}
}

func (k *simConn) sendingNow() bool { return k.family != events.FamilyUnix && k.flying > 0 }

// replaceRequest tells the kept request alone; another takes its place.
func (k *simConn) replaceRequest(p piece) {
	k.emit(events.HasStart, p.now, k.respOff(), k.respOff(), nil)
	k.startRequest(p)
}

func (k *simConn) onRequestBytes(p piece, begins bool) {
	switch {
	case k.phase == phaseResponse:
		if k.torn != tornNot {
			begins = k.mends(p, begins)
		}
		if !begins {
			return
		}
		k.startRequest(p)
		if p.off < k.lateEnd {
			k.emit(events.HasStart|events.HasLate, p.now, k.rx, k.rx, nil)
			k.phase = phaseResponse
		}
	case p.dir == recv && begins && k.headDone && !k.ahead && k.sendingNow():
		k.replaceRequest(p)
		k.ahead = true
	case k.headDone && isSurelyRequest(p.captured):
		k.replaceRequest(p)
	case p.dir == recv && k.headDone && k.reqClean && begins && len(p.captured) < simSure && !k.ahead && k.head[0]|0x20 != 'p':
		k.replaceRequest(p)
		k.ahead = true
	default:
		if !k.headDone {
			k.head = append(k.head, p.captured...)
			k.head = k.head[:min(len(k.head), events.MaxHead)]
			k.headDone = len(k.head) >= k.capture || endsHead(k.head)
		}
		k.reqClean = p.clean
	}
}

func (k *simConn) beginResponse(p piece) {
	has := events.HasStatus
	r := p.captured
	tunnel := k.phase != phaseResponse && len(r) >= 12 && string(r[9:12]) == "101"
	k.lateEnd = 0
	if k.torn != tornNot {
		k.torn = tornRequests
	}
	switch {
	case k.phase == phaseRequest && !k.ahead:
		has |= events.HasStart
		if len(k.head) >= 4 && string(k.head[:4]) == "CONN" {
			tunnel = tunnel || len(r) >= 12 && r[9] == '2'
		}
	case p.dir == recv && k.sendingNow():
		has |= events.HasLate
		k.lateEnd = k.tx + k.flying
	}
	k.emit(has, p.now, p.off, p.off+uint64(len(p.data)), r)
	k.phase = phaseResponse
	if k.ahead {
		k.phase = phaseRequest
	}
	k.ahead = false
	k.answered = true
	k.pieces, k.respKept = 0, len(r)
	if len(r) == 0 {
		k.pieces = simMaxMore
	}
	k.lastNS = p.now
	if tunnel {
		k.phase = phaseOver
	}
}

func (k *simConn) onResponseBytes(p piece, begins bool) {
	n, end := len(p.captured), p.off+uint64(len(p.data))
	switch {
	case begins, n == 0 && k.phase == phaseRequest:
		k.beginResponse(p) // also of one that cannot be read
	case k.phase == phaseRequest && !k.answered && n > 0:
		k.phase = phaseOver // not HTTP
		if k.reported {
			k.emit(events.HasClose, p.now, p.off, end, nil)
		} else {
			k.notAnswered++
		}
	case n > 0 && k.respKept < k.capture && k.pieces < simMaxMore:
		has := events.HasMore
		if k.phase == phaseRequest {
			has |= events.HasStart
		}
		k.emit(has, p.now, p.off, end, p.captured)
		k.pieces++
		k.respKept += n
		k.lastNS = p.now
	default:
		k.lastNS = p.now
		k.dirty = true
		if k.family == events.FamilyUnix {
			k.emit(events.HasProgress, p.now, end, end, nil)
		}
	}
}

// touch is a read that found nothing, before anything came.
func (k *simConn) touch(now uint64) {
	if k.touchNS == 0 && k.received == 0 {
		k.touchNS = now
	}
}

// sweep is sweep_conn; older is the time before which requests are told.
func (k *simConn) sweep(now, older uint64, unixAlive bool) {
	if k.raced {
		k.beginAnew()
	}
	if k.phase == phaseUnknown || k.phase == phaseOver {
		return
	}
	has := events.HasProgress
	if k.phase == phaseRequest && !k.reported && k.readNS < older {
		has |= events.HasStart
	}
	if has == events.HasProgress && !k.dirty && !k.anew && (k.family != events.FamilyUnix || !unixAlive) {
		return
	}
	k.emit(has, now, k.respOff(), k.respOff(), nil)
}

// close is conn_closed.
func (k *simConn) close(now uint64, reset bool) {
	if k.raced {
		k.beginAnew()
	}
	if k.family == events.FamilyUnix || !k.announced && k.phase != phaseRequest {
		return
	}
	has := events.HasClose
	if reset {
		has |= events.HasReset
	}
	if k.sendingNow() {
		k.tx += k.flying
		if k.role == events.RoleServer {
			k.lastNS = now
		}
	}
	if k.phase == phaseRequest {
		has |= events.HasStart
	}
	k.emit(has, now, k.respOff(), k.respOff(), nil)
	k.announced = false
	k.phase = phaseOver
}

func (k *simConn) respOff() uint64 {
	if k.role == events.RoleServer {
		return k.tx
	}
	return k.rx
}

func (k *simConn) emit(has events.Has, now, respOff, respEnd uint64, resp []byte) {
	r := events.Record{
		Role: k.role, Seq: k.seq, PID: k.tgid, TID: k.tid, ConnID: k.id,
		StartNS: k.startNS, ReadNS: k.readNS, TouchNS: k.touchNS, ReqOff: k.reqOff,
		NowNS: now, PrevNS: k.lastNS, RespOff: respOff, RespEnd: respEnd, Tail: k.tail, TailOpen: k.tailOpen && len(k.tail) == 8, RespData: resp,
	}
	r.ReqEnd = k.rx
	if k.role == events.RoleClient {
		r.ReqEnd = k.tx
	}
	if has&events.HasStart != 0 {
		r.ReqHead = k.head
		k.reported = true
		if k.first {
			has |= events.HasFirst
		}
		if k.afterClean {
			has |= events.HasClean
		}
	}
	if !k.announced {
		has |= events.HasConn
		r.Conn = events.RawConn{Family: k.family, LocalPort: 80, RemotePort: 5000}
		copy(r.Conn.Comm[:], "sim")
		r.Conn.Cgroup = k.cgroup
		k.announced = true
	}
	if k.anew {
		has |= events.HasAnew
	}
	r.Has = has
	k.seq++
	k.dirty, k.anew = false, false
	k.records = append(k.records, r.Append(nil))
}

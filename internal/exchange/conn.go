// SPDX-License-Identifier: Apache-2.0

package exchange

import (
	"probe/internal/http1"
	"probe/pkg/events"
)

// conn is what is known of one connection.
type conn struct {
	id        uint64
	info      *events.Conn
	role      events.Role
	isPending bool
	sureEnd   bool   // reqPos is the end of the last request
	pipelines bool   // a doubtful request that came before its turn was answered
	next      uint32 // sequence number of the next record
	lastNS    uint64
	reqEnd    uint64 // request bytes seen
	reqBegun  uint64 // where the kernel last saw a request begin ...
	reqFalse  uint64 // ... and where that was none
	// refusedEnd is behind the first byte of what was last counted as inside a
	// body; 0: nothing yet.
	refusedEnd uint64
	evictedEnd uint64 // the same of the last request refused for want of room
	startedEnd uint64 // ... and of the last one counted as started, which may be told again
	lead       lead   // of the request behind the last one
	reqPos     uint64 // request bytes known to be of the requests so far
	openEnd    bool   // ... and more may be: the end of the last one is not known
	unsure     bool   // responses may be paired wrongly: records were lost
	refused    bool   // ... or requests refused, whose responses are to come
	gone       bool   // forgotten by the tracker
	tunnel     bool   // it has left HTTP
	reset      bool   // its end was a reset
	heldAge    uint8  // batches since the first of held; 0: not waiting
	lateAge    uint8  // the same of late
	respPos    uint64 // response bytes explained by complete messages
	sureResp   bool   // ... and the next response begins there
	several    bool   // more than one request has waited at a time
	queue      []*exchange
	one        [1]*exchange // room for the queue of almost every connection
	held       [][]byte     // records that wait for an earlier one
	late       [][]byte     // records whose request is still to be told
	// The heads of its last exchange, most likely those of the next.
	lastReq  *knownRequest
	lastResp *knownResponse
	// reqMet is the request bytes seen up to the head of the last response,
	// answeredNS when that response ended, orphanNS when one without a request began.
	reqMet, answeredNS, orphanNS uint64
}

// describe is the connection as Requests have it; one whose addresses were lost has none.
func (t *Tracker) describe(c *conn) *events.Conn {
	if c.info == nil {
		t.stats.UnknownConns++
		c.info = &events.Conn{ID: c.id}
	}
	return c.info
}

func (c *conn) isUnix() bool { return c.info != nil && c.info.Family == events.FamilyUnix }

// exchange is one request and what is known of its response.
type exchange struct {
	flags    events.Flags
	pid, tid uint32
	startNS  uint64
	readNS   uint64
	touchNS  uint64
	first    bool
	rough    bool // startNS is
	behind   bool // another one, in the same read
	owned    bool // the slices point into room, not into a record
	doubtful bool // perhaps a part of the body of the request before
	reported bool // as in progress

	// Request.
	reqOff, reqEnd uint64 // reqEnd 0: not known from the framing
	headEnd        uint64 // all that was read ended here, within the head; or 0
	headID         uint64
	method         []byte
	target, host   []byte
	minor          uint8
	malformed      bool
	partial        bool
	chunkedBody    bool
	expects        bool   // an interim response
	reqBody        uint64 // where its body begins, if its head is complete

	// Response.
	begun    bool
	headDone bool
	hidden   bool // of what follows an interim response something was not captured
	unread   bool // not even how it begins could be read
	perhaps  bool // it may be among bytes that were taken for those of another one
	status   uint16
	body     http1.BodyKind
	last     ending // of the bytes up to respEnd, if chunked
	respOff  uint64 // first byte of the first (interim) response
	msgOff   uint64 // first byte of the message being read
	respEnd  uint64 // bytes seen
	bodyOff  uint64 // where the body begins, if headDone and the head was whole
	bodyEnd  uint64 // where the message ends, if hasEnd
	least    uint64 // ... at the earliest, if the head was cut behind its length; or 0
	hasEnd   bool
	firstNS  uint64
	lastNS   uint64
	msgNS    uint64 // time of the byte at msgOff
	buf      []byte // captured bytes from msgOff on, while the head is incomplete
	chunks   http1.Chunked
	chunkPos uint64 // stream offset that chunks has reached

	// Where its time went, up to timesNS; attribution of onCPU or times.
	times   events.RawTimes
	timesNS uint64
	onCPU   bool
	loop    bool

	room []byte
}

// own copies what is borrowed from a record: the exchange outlives it.
func (e *exchange) own() {
	if e.owned {
		return
	}
	e.owned = true
	e.room = append(e.room[:0], e.method...)
	e.room = append(e.room, e.target...)
	e.room = append(e.room, e.host...)
	e.room = append(e.room, e.buf...)
	m, t, h := len(e.method), len(e.target), len(e.host)
	e.method = e.room[:m:m]
	e.target = e.room[m : m+t : m+t]
	e.host = e.room[m+t : m+t+h : m+t+h]
	e.buf = e.room[m+t+h:]
}

// uncertain marks what may have got a neighbour's response or bytes.
const uncertain = events.FlagBytesUncertain | events.FlagTimeUncertain

// push adds an exchange to the end of the queue; nil when there is no room.
func (t *Tracker) push(c *conn) *exchange {
	if len(c.queue) >= t.opt.MaxQueue {
		t.stats.Evicted++
		c.unsure, c.refused = true, true
		return nil
	}
	var e *exchange
	if n := len(t.free); n > 0 {
		e, t.free = t.free[n-1], t.free[:n-1]
		*e = exchange{room: e.room}
	} else {
		e = &exchange{}
	}
	if c.unsure {
		e.flags = uncertain
	}
	if c.queue == nil {
		c.queue = c.one[:0]
	}
	c.queue = append(c.queue, e)
	t.stats.Open++
	return e
}

// beginAnew forgets what the kernel side has told of the connection, but for whose
// it is: a response must not get to a request that has had its own.
func (t *Tracker) beginAnew(c *conn) {
	for len(c.queue) > 0 {
		t.stats.Raced++
		t.drop(c)
	}
	c.unsure, c.refused, c.openEnd, c.sureEnd, c.tunnel = false, false, false, false, false
	c.reqFalse, c.refusedEnd, c.evictedEnd, c.startedEnd, c.reqPos, c.respPos = 0, 0, 0, 0, 0, 0
	c.sureResp, c.lead.n = false, 0
}

// maxFree bounds the exchanges kept for reuse.
const maxFree = 1024

// drop removes the oldest exchange of the queue. The caller counts why.
func (t *Tracker) drop(c *conn) { t.dropAt(c, 0) }

// dropAt is drop for the exchange at i.
func (t *Tracker) dropAt(c *conn, i int) {
	e := c.queue[i]
	n := i + copy(c.queue[i:], c.queue[i+1:])
	c.queue[n] = nil
	c.queue = c.queue[:n]
	t.stats.Open--
	if len(t.free) < maxFree {
		t.free = append(t.free, e)
	}
}

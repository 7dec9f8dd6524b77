// SPDX-License-Identifier: Apache-2.0

// Package exchange rebuilds HTTP exchanges from the records of the kernel side:
// it orders the records of a connection, pairs requests with responses, follows
// HTTP/1 framing by stream offsets, and computes the times.
//
// The kernel leans to telling too much (any piece that begins like a head), so
// every claim is checked against the framing of what came before: a request
// inside the body of another one, or a response inside a body, is none.
package exchange

import (
	"time"

	"probe/internal/http1"
	"probe/pkg/events"
)

// Options bound the tracker. Zero values mean the defaults.
type Options struct {
	// MaxConns is the number of connections remembered (default 262144, about
	// 500 bytes each); beyond it an idle one is forgotten, with its addresses.
	MaxConns int
	// MaxQueue is the number of unanswered requests kept per connection
	// (default 64); more are counted as evicted.
	MaxQueue int
	// AgeLimit is when an open exchange is reported as in progress (default
	// 1 minute). It stays open and is reported again when it ends.
	AgeLimit time.Duration
	// IdleLimit is when a Unix socket without traffic is forgotten (default 10
	// minutes): the kernel does not tell when it is closed.
	IdleLimit time.Duration
	// Times says that the kernel measures where the time of requests goes.
	Times bool
}

func (o *Options) setDefaults() {
	if o.MaxConns == 0 {
		o.MaxConns = 1 << 18
	}
	if o.MaxQueue == 0 {
		o.MaxQueue = 64
	}
	if o.AgeLimit == 0 {
		o.AgeLimit = time.Minute
	}
	if o.IdleLimit == 0 {
		o.IdleLimit = 10 * time.Minute
	}
}

// Stats are the books of a Tracker. At any time
//
//	Started + Pipelined + Orphans = Finished + Open + NotHTTP + Evicted + Unseen + Raced + Doubtful
type Stats struct {
	Started   uint64 // requests told by the kernel
	Pipelined uint64 // requests that are not in Started: behind another one in one head, or first taken for a part of a body
	Orphans   uint64 // responses without a request
	Finished  uint64 // exchanges handed out with a final outcome
	Open      uint64 // exchanges not finished
	NotHTTP   uint64 // requests that turned out not to be HTTP
	Evicted   uint64 // requests dropped at a limit
	Unseen    uint64 // requests whose response head was not seen: behind another's in one write, or not readable
	Raced     uint64 // requests open where the kernel side lost its place (events.HasAnew)
	Doubtful  uint64 // requests taken for a part of a body after all: no answer came

	InsideBody   uint64 // requests told by the kernel that are part of a body, or in a tunnel
	InsideAnswer uint64 // the same of responses
	LostRecords  uint64 // gaps in the records of connections
	UnknownConns uint64 // connections whose addresses were lost
	InProgress   uint64 // reports of exchanges over the age limit
	EvictedConns uint64 // connections forgotten at the limit
	AfterClose   uint64 // records that came after the close of their connection
	HTTP2        uint64 // connections that went on in HTTP/2: its requests are not seen
}

// recentConns are found without the map; ids are given in turn.
const recentConns = 256

// Tracker rebuilds the exchanges. It is not safe for concurrent use.
type Tracker struct {
	opt   Options
	emit  func(*events.Request)
	conns map[uint64]*conn
	// pending are the connections with an open exchange, held those with
	// records that came before their turn, late those with records whose
	// request is still to be told.
	pending map[*conn]struct{}
	held    []*conn
	late    []*conn
	closed  closedConns
	recent  [recentConns]*conn // by id: most records are of the same few
	free    []*exchange
	stats   Stats
	sweepNS uint64 // start of the last sweep for Unix sockets
	// forgotNS is when idle Unix sockets were last forgotten, tickedNS the last Tick.
	forgotNS, tickedNS uint64

	// Room that is reused for every record.
	heads *headCache
	req   http1.Request
	resp  http1.Response
	whole exchange
	out   events.Request
	now   uint64

	joined []byte // a head with its lead
}

// New returns a tracker that hands every exchange to emit. The Request is
// borrowed until emit returns.
func New(o Options, emit func(*events.Request)) *Tracker {
	o.setDefaults()
	return &Tracker{opt: o, emit: emit, heads: newHeadCache(), conns: map[uint64]*conn{}, pending: map[*conn]struct{}{}, closed: newClosedConns()}
}

// Stats returns the books.
func (t *Tracker) Stats() Stats { return t.stats }

// Pending returns how many connections have an open exchange, and whether one
// of them is a Unix socket, whose end only a sweep can find.
func (t *Tracker) Pending() (conns int, unix bool) {
	for c := range t.pending {
		if c.isUnix() {
			return len(t.pending), true
		}
	}
	return len(t.pending), false
}

// Feed takes one record. Records of one connection may come out of order by a
// few; the rest of the order is the ring's.
func (t *Tracker) Feed(r *events.Record) {
	recent := &t.recent[r.ConnID%recentConns]
	c := *recent
	if c == nil || c.id != r.ConnID {
		if c = t.connOf(r); c == nil {
			if r.Has&events.HasClose == 0 {
				t.stats.AfterClose++
			}
			return
		}
		*recent = c
	}
	if r.Seq != c.next {
		if !t.outOfOrder(c, r) {
			return
		}
	}
	t.take(c, r)
	if len(c.held) > 0 {
		t.replay(c)
	}
}

// connOf returns nil when the connection is known to be closed.
func (t *Tracker) connOf(r *events.Record) *conn {
	if c := t.conns[r.ConnID]; c != nil {
		return c
	}
	if t.closed.has(r.ConnID) {
		return nil
	}
	if len(t.conns) >= t.opt.MaxConns {
		t.evictConn()
	}
	c := &conn{id: r.ConnID}
	if r.Seq > maxHeld { // else perhaps only overtaken by this one
		t.gap(c, r)
		c.next = r.Seq
	}
	t.conns[c.id] = c
	return c
}

// evictConn forgets an idle connection, any one: map order is random enough.
func (t *Tracker) evictConn() {
	var victim *conn
	tries := 0
	for _, c := range t.conns {
		victim = c
		if tries++; len(c.queue) == 0 && len(c.held) == 0 || tries > 16 {
			break
		}
	}
	for len(victim.queue) > 0 {
		t.stats.Evicted++
		t.drop(victim)
	}
	t.stats.EvictedConns++
	t.forget(victim)
}

func (t *Tracker) forget(c *conn) {
	delete(t.conns, c.id)
	delete(t.pending, c)
	t.stats.LostRecords += uint64(len(c.held) + len(c.late))
	c.held, c.late = nil, nil
	c.gone = true
	if recent := &t.recent[c.id%recentConns]; *recent == c {
		*recent = nil
	}
}

// apply takes a record in its turn.
func (t *Tracker) apply(c *conn, r *events.Record) {
	if c.gone { // by a record before it of the same batch
		t.stats.LostRecords++
		return
	}
	if t.takeWhole(c, r) {
		return
	}
	if r.Has&events.HasAnew != 0 {
		t.beginAnew(c)
	}
	t.advance(c, r)
	if len(c.queue) > 0 {
		t.passTunnelHead(c, r)
	}
	if r.PrevRough && len(c.queue) > 0 && c.queue[0].begun {
		c.queue[0].flags |= events.FlagTimeUncertain
	}
	// Told again where another process has the connection.
	if r.Has&events.HasConn != 0 && (c.info == nil || c.info.Family == events.FamilyUnknown || c.info.Comm != r.Conn.Name() || c.info.Cgroup != r.Conn.Cgroup) {
		c.info = r.Conn.Connection(r.ConnID)
	}
	if r.Has&events.HasStart != 0 {
		n := len(c.queue)
		t.addRequest(c, r)
		if r.Has&events.HasLate != 0 && len(c.late) == 0 && len(c.queue) > n {
			t.dropLate(c, n)
		}
	}
	if r.Has&events.HasStatus != 0 {
		t.beginResponse(c, r)
	} else if r.RespEnd > r.RespOff || r.Has&(events.HasProgress|events.HasClose) != 0 {
		t.continueResponse(c, r)
	}
	if r.Has&events.HasClose != 0 {
		c.reset = r.Has&events.HasReset != 0
		t.closeConn(c, r.PrevNS, r.RespEnd)
		t.closed.add(c.id)
		return
	}
	t.settle(c)
}

// advance notes how far the connection has come.
func (t *Tracker) advance(c *conn, r *events.Record) {
	if int32(r.Seq-c.next) >= 0 {
		c.next = r.Seq + 1
	}
	c.lastNS = r.NowNS
	t.now = r.NowNS
	c.role = r.Role
	c.reqEnd = max(c.reqEnd, r.ReqEnd)
	c.reqBegun = max(c.reqBegun, r.ReqOff)
}

// settle keeps what is borrowed from the record and the set of pending ones.
func (t *Tracker) settle(c *conn) {
	if len(c.queue) == 0 {
		if c.isPending {
			c.isPending = false
			delete(t.pending, c)
		}
		c.unsure = c.refused
		return
	}
	for _, e := range c.queue {
		e.own()
	}
	if !c.isPending {
		c.isPending = true
		t.pending[c] = struct{}{}
	}
}

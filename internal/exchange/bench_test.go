// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"testing"

	"probe/internal/exchange"
	"probe/pkg/events"
)

// stream gives the records of one long connection without making new ones.
type stream struct {
	records []events.Record
	next    int
	seq     uint32
	req     uint64 // stream offsets
	resp    uint64
}

// newStream repeats the records of the steps, which end as they began.
func newStream(t testing.TB, steps ...step) *stream {
	t.Helper()
	s := &stream{req: baseOffset, resp: baseOffset}
	for _, raw := range records(steps) {
		var r events.Record
		if err := events.Decode(raw, &r); err != nil {
			t.Fatal(err)
		}
		s.records = append(s.records, r)
	}
	return s
}

// feed hands the next record to the tracker.
func (s *stream) feed(t *exchange.Tracker, r *events.Record) {
	*r = s.records[s.next]
	r.Seq = s.seq
	if s.seq > 0 {
		r.Has &^= events.HasConn | events.HasFirst
	}
	r.ReqOff += s.req
	r.ReqEnd += s.req
	r.RespOff += s.resp
	r.RespEnd += s.resp
	s.seq++
	if s.next++; s.next == len(s.records) {
		s.next = 0
		s.req, s.resp = r.ReqEnd-baseOffset, r.RespEnd-baseOffset // no gap between messages
	}
}

func conversation(t testing.TB) map[string]*stream {
	return map[string]*stream{
		"one record":  newStream(t, in(getRequest), out(okReply)),
		"body later":  newStream(t, in(getRequest), out(reply(200, large)[:600], reply(200, large)[600:]), sweep()),
		"two records": newStream(t, in(getRequest), out(halves(okReply, 30)...)),
		"chunked":     newStream(t, in(getRequest), out(chunkedReply)),
		"swept":       newStream(t, in(getRequest), sweepOld(), out(okReply)),
		"pipelined":   newStream(t, in(get("/1")+get("/2")), out(okReply+okReply)),
		"many hosts":  newStream(t, in(get("/a")), out(okReply), in(get("/b")), out(reply(404, "x")), in(get("/c")), out(reply(500, "yy"))),
	}
}

// Steady state: once the first requests have made the room, none is made.
func TestFeedDoesNotAllocate(t *testing.T) {
	for name, s := range conversation(t) {
		t.Run(name, func(t *testing.T) {
			told := 0
			tracker := exchange.New(exchange.Options{}, func(*events.Request) { told++ })
			var r events.Record
			rounds := func(n int) {
				for range n * len(s.records) {
					s.feed(tracker, &r)
					tracker.Feed(&r)
				}
				tracker.EndBatch()
			}
			rounds(10)
			told = 0
			if n := testing.AllocsPerRun(100, func() { rounds(1) }); n != 0 {
				t.Errorf("%v allocations per exchange", n)
			}
			if got := tracker.Stats(); told < 101 || got.Open != 0 || got.LostRecords+got.InsideBody+got.InsideAnswer != 0 {
				t.Errorf("%d told: %+v", told, got)
			}
		})
	}
}

func BenchmarkFeed(b *testing.B) {
	for name, s := range conversation(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			told := 0
			tracker := exchange.New(exchange.Options{}, func(*events.Request) { told++ })
			var r events.Record
			for b.Loop() {
				s.feed(tracker, &r)
				tracker.Feed(&r)
			}
			b.ReportMetric(float64(told)/float64(b.N), "requests/op")
		})
	}
}

// Many connections in turn, as on a busy server.
func BenchmarkFeedManyConnections(b *testing.B) {
	b.ReportAllocs()
	tracker := exchange.New(exchange.Options{}, func(*events.Request) {})
	streams := make([]*stream, 10_000)
	for i := range streams {
		streams[i] = newStream(b, in(getRequest), out(okReply))
	}
	var r events.Record
	i := 0
	for b.Loop() {
		streams[i%len(streams)].feed(tracker, &r)
		r.ConnID = uint64(i % len(streams))
		tracker.Feed(&r)
		i++
	}
}

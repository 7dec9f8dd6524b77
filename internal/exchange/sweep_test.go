// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/internal/exchange"
	"probe/pkg/events"
)

// stage is a tracker fed step by step, as the agent does it.
type stage struct {
	*watched
	sim *sim
}

func newStage(t testing.TB, o exchange.Options) *stage {
	return &stage{watched: watch(t, o), sim: newSim(events.MaxHead)}
}

// play takes the steps and feeds what they gave as one batch.
func (s *stage) play(steps ...step) {
	s.t.Helper()
	s.sim.play(steps...)
	s.batch(s.sim.kernel.records...)
	s.sim.kernel.records = nil
}

// wait lets time pass and then does what the agent does about once a second.
func (s *stage) wait(d time.Duration) {
	s.t.Helper()
	s.sim.now += d
	s.Tick(uint64(s.sim.now))
	s.checkBooks()
}

// sweepUnix is the agent's sweep for Unix sockets; alive: the socket is found.
func (s *stage) sweepUnix(alive bool) {
	s.t.Helper()
	s.sim.now += time.Millisecond
	s.BeginSweep(uint64(s.sim.now))
	if alive {
		s.play(func(s *sim) { s.kernel.sweep(uint64(s.now), 0, true) })
	}
	s.EndSweep()
	s.checkBooks()
}

func (s *stage) want(want ...seen) {
	s.t.Helper()
	if d := cmp.Diff(want, s.seen); d != "" {
		s.t.Errorf("requests (-want +got):\n%s", d)
	}
}

// wantFlagged wants n requests told, each right or flagged.
func (s *stage) wantFlagged(n int, right func(seen) bool) {
	s.t.Helper()
	if len(s.seen) != n {
		s.t.Errorf("%d told, want %d: %+v", len(s.seen), n, s.seen)
	}
	for _, got := range s.seen {
		if got.Flags == 0 && !right(got) {
			s.t.Errorf("paired wrongly and not flagged: %+v", got)
		}
	}
}

// A request that a sweep told is not told again with its answer.
func TestSweepTellsTheStart(t *testing.T) {
	s := newStage(t, exchange.Options{})
	s.play(in(getRequest), sweepOld())
	if open, _ := s.Pending(); open != 1 {
		t.Errorf("%d connections pending", open)
	}
	s.want()
	s.play(sweepOld(), out(okReply), sweepOld())
	s.want(ok(getRequest, okReply))
	if got := s.Stats(); got.Started != 1 || got.Finished != 1 {
		t.Errorf("%+v", got)
	}
}

// A request that a sweep told while its head was arriving is told whole.
func TestSweepTellsHalfAHead(t *testing.T) {
	for at := 1; at < len(getRequest); at++ {
		s := newStage(t, exchange.Options{})
		s.play(in(getRequest[:at]), sweepOld(), in(getRequest[at:]), out(okReply))
		s.want(ok(getRequest, okReply))
	}
}

func TestUnixSocket(t *testing.T) {
	chunk := "5\r\nhello\r\n"
	switching := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
	tests := []struct {
		name  string
		steps []step
		want  []seen
		gone  []seen // once the socket is not found any more
	}{
		{"unanswered", []step{in(getRequest), sweepOld()}, nil, []seen{ok(getRequest, "").outcome("unanswered")}},
		{"answered", []step{in(getRequest), out(okReply)}, []seen{ok(getRequest, okReply)}, nil},
		{"unanswered, its body under way", []step{in(post("/p", "abcdef")[:42]), sweepOld()}, nil,
			[]seen{{Method: "POST", Target: "/p", Outcome: "unanswered", In: 42, Flags: events.FlagBytesUncertain}}},
		{"unanswered, its head under way", []step{in(getRequest[:30]), sweepOld()}, nil,
			[]seen{{Method: "GET", Target: "/a?q=1", Outcome: "unanswered", In: 30, Flags: events.FlagBytesUncertain}}},
		{"opens a tunnel, its head in two", []step{in(getRequest), out(switching[:30], switching[30:])},
			[]seen{ok(getRequest, switching[:30]).outcome("upgraded").with(events.FlagBytesUncertain)}, nil},
		{"perhaps spliced out", []step{out(getRequest), in(okReply[:40])}, nil,
			[]seen{ok(getRequest, okReply[:40]).outcome("aborted").with(uncertain)}},
		{"perhaps chunks spliced out", []step{out(getRequest), in(chunkedHead, chunk)}, nil,
			[]seen{ok(getRequest, chunkedHead+chunk).outcome("aborted").with(uncertain)}},
		{"read until close", []step{out(getRequest), in(closeHead, large)}, nil, []seen{ok(getRequest, closeHead+large)}},
		{"aborted", []step{in(getRequest), out(okReply[:40])}, nil, []seen{ok(getRequest, okReply[:40]).outcome("aborted")}},
		{"until close", []step{in(getRequest), out(closeHead, large, large)}, nil, []seen{ok(getRequest, closeHead+large+large)}},
		{"large body, counted piece by piece", []step{in(getRequest), out(halves(reply(200, large), 1000)...)},
			[]seen{ok(getRequest, reply(200, large))}, nil},
		{"chunked, aborted", []step{in(getRequest), out(chunkedHead, chunk, chunk)}, nil,
			[]seen{ok(getRequest, chunkedHead+chunk+chunk).outcome("aborted")}},
		{"two pipelined, one answered", []step{in(get("/1"), get("/2")), sweepOld(), out(okReply)}, []seen{ok(get("/1"), okReply)},
			[]seen{ok(get("/2"), "").outcome("unanswered")}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, exchange.Options{})
			s.play(append([]step{unixSocket()}, tt.steps...)...)
			s.sweepUnix(true)
			s.sweepUnix(true)
			s.want(tt.want...)
			if open, unix := s.Pending(); (open > 0) != (len(tt.gone) > 0) || unix != (open > 0) {
				t.Errorf("pending: %d, unix %v", open, unix)
			}
			s.sweepUnix(false)
			s.want(append(tt.want, tt.gone...)...)
			if open, _ := s.Pending(); open != 0 {
				t.Errorf("%d connections pending at the end", open)
			}
		})
	}
}

// A Unix socket whose sign of life waits for a record before it is alive.
func TestUnixSocketAliveBehindALoss(t *testing.T) {
	s := newStage(t, exchange.Options{})
	s.play(unixSocket(), in(getRequest), sweepOld())
	s.sim.play(out(okReply[:30]))
	s.sim.kernel.records = nil // lost
	s.sweepUnix(true)
	s.want()
	s.settle()
	s.sweepUnix(true)
	s.want()
	s.sweepUnix(false)
	if got := s.Stats(); got.Finished != 1 || got.Open != 0 || got.LostRecords != 1 {
		t.Errorf("%+v", got)
	}
}

// A TCP connection is not touched by the sweep for Unix sockets.
func TestUnixSweepLeavesTCP(t *testing.T) {
	s := newStage(t, exchange.Options{})
	s.play(in(getRequest), sweepOld())
	s.sweepUnix(false)
	s.want()
	s.play(out(okReply))
	s.want(ok(getRequest, okReply))
}

func TestAgeLimit(t *testing.T) {
	s := newStage(t, exchange.Options{AgeLimit: 10 * time.Second})
	s.play(in(getRequest), sweepOld())
	s.wait(9 * time.Second)
	s.want()
	s.wait(2 * time.Second)
	pending := ok(getRequest, "").outcome("in_progress")
	s.want(pending)
	if q := s.requests[0]; q.Duration < 11*time.Second || q.EndNS != uint64(s.sim.now) || q.TTFB != 0 {
		t.Errorf("in progress: %+v", q)
	}
	s.wait(20 * time.Second)
	s.want(pending)
	s.play(out(okReply))
	s.want(pending, ok(getRequest, okReply))
	if got := s.Stats(); got.InProgress != 1 || got.Finished != 1 || got.Open != 0 {
		t.Errorf("%+v", got)
	}
}

// The age counts from the request, whatever came of the response so far.
func TestAgeLimitOfAResponse(t *testing.T) {
	half := okReply[:len(okReply)-1]
	s := newStage(t, exchange.Options{AgeLimit: 10 * time.Second})
	s.play(in(getRequest), sweepOld())
	s.wait(8 * time.Second)
	s.play(out(half))
	s.wait(3 * time.Second)
	s.want(ok(getRequest, half).outcome("in_progress"))
	if ttfb := s.requests[0].TTFB; ttfb < 8*time.Second || ttfb > 9*time.Second {
		t.Errorf("time to first byte %v", ttfb)
	}
}

// A response without its request is as old as the response.
func TestAgeLimitOfAnOrphan(t *testing.T) {
	s := newStage(t, exchange.Options{AgeLimit: 10 * time.Second})
	s.play(out(okReply[:len(okReply)-1]))
	s.wait(9 * time.Second)
	s.want()
	s.wait(2 * time.Second)
	s.want(seen{Status: 200, Outcome: "in_progress", Out: len(okReply) - 1, Flags: noRequest})
}

// What is not known to be HTTP is not told as a request.
func TestAgeLimitOfGarbage(t *testing.T) {
	for _, text := range []string{"get foo\r\n", "GE", "set foo 0 0 3\r\n"} {
		s := newStage(t, exchange.Options{AgeLimit: 10 * time.Second})
		s.play(in(text), sweepOld())
		s.wait(20 * time.Second)
		s.Close(uint64(s.sim.now))
		s.want()
	}
}

func TestCloseOfTheTracker(t *testing.T) {
	s := newStage(t, exchange.Options{})
	s.play(in(get("/1"), get("/2")), sweepOld(), out(okReply[:30]))
	s.Close(uint64(s.sim.now))
	s.checkBooks()
	half := ok(get("/1"), okReply[:30]).outcome("in_progress")
	s.want(half, ok(get("/2"), "").outcome("in_progress"))
	s.Close(uint64(s.sim.now)) // told once
	s.want(half, ok(get("/2"), "").outcome("in_progress"))
	s.play(out(okReply[30:], reply(404, "")))
	s.want(half, ok(get("/2"), "").outcome("in_progress"), ok(get("/1"), okReply), ok(get("/2"), reply(404, "")))
}

// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/internal/exchange"
	"probe/pkg/events"
)

// connection numbers a simulated connection.
func connection(id uint64) *sim {
	s := newSim(events.MaxHead)
	s.kernel.id = id
	return s
}

func TestMaxQueue(t *testing.T) {
	s := newStage(t, exchange.Options{MaxQueue: 4})
	var requests []step
	for i := range 7 {
		requests = append(requests, in(get(fmt.Sprint("/", i))))
	}
	s.play(append(requests, sweepOld())...)
	if got := s.Stats(); got.Started != 7 || got.Open != 4 || got.Evicted != 3 {
		t.Errorf("%+v", got)
	}
	for range 7 {
		s.play(out(okReply))
	}
	var want []seen
	for i := range 4 {
		want = append(want, ok(get(fmt.Sprint("/", i)), okReply))
	}
	orphan := seen{Status: 200, Outcome: "ok", Out: len(okReply), Flags: noRequest}
	for i := range s.seen[4:] {
		s.seen[4+i].Flags &^= uncertain
	}
	s.want(append(want, orphan, orphan, orphan)...)
}

// The same for requests that came in one read.
func TestMaxQueueOfOneRead(t *testing.T) {
	s := newStage(t, exchange.Options{MaxQueue: 2})
	s.play(in(get("/1")+get("/2")+get("/3")+get("/4")), sweepOld())
	if got := s.Stats(); got.Started != 1 || got.Pipelined != 2 || got.Open != 2 || got.Evicted != 1 {
		t.Errorf("%+v", got)
	}
	s.play(end())
	s.want(ok(get("/1"), "").outcome("unanswered"), ok(get("/2"), "").outcome("unanswered"))
}

// A request refused for want of room is told again with an answer: it is
// counted once, and no rest of it is a request.
func TestMaxQueueToldAgain(t *testing.T) {
	for name, requests := range map[string]step{
		"three reads": in(get("/1"), get("/2"), get("/3")), "one read": in(get("/1") + get("/2") + get("/3")),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, exchange.Options{MaxQueue: 2})
			s.play(requests, sweepOld(), out(reply(201, ""), reply(202, "")), end())
			s.want(ok(get("/1"), reply(201, "")), ok(get("/2"), reply(202, "")))
			if got := s.Stats(); got.Started+got.Pipelined != 3 || got.Evicted != 1 || got.InsideBody != 0 {
				t.Errorf("%+v", got)
			}
			s.checkKernel(&s.sim.kernel)
		})
	}
}

// Where requests were refused, what is paired afterwards may be wrong.
func TestMaxQueueMakesUnsure(t *testing.T) {
	s := newStage(t, exchange.Options{MaxQueue: 1})
	s.play(in(get("/1"), get("/2")), sweepOld(), out(reply(201, "")), in(get("/3")), sweepOld(), out(reply(202, ""), reply(203, "")), end())
	s.wantFlagged(3, func(got seen) bool { return got.Target == fmt.Sprint("/", int(got.Status)-200) })
}

func TestMaxConns(t *testing.T) {
	w := watch(t, exchange.Options{MaxConns: 8})
	for id := range uint64(50) {
		w.batch(connection(id).play(in(getRequest), out(okReply)).kernel.records...)
	}
	if got := w.Stats(); got.EvictedConns != 42 || got.Finished != 50 || got.Evicted != 0 {
		t.Errorf("%+v", got)
	}
}

// Idle connections go first; with them all busy, requests are lost and counted.
func TestMaxConnsBusy(t *testing.T) {
	w := watch(t, exchange.Options{MaxConns: 8})
	for id := range uint64(20) {
		w.batch(connection(id).play(in(getRequest), sweepOld()).kernel.records...)
	}
	got := w.Stats()
	if got.EvictedConns != 12 || got.Evicted != 12 || got.Open != 8 {
		t.Errorf("%+v", got)
	}
	if open, _ := w.Pending(); open != 8 {
		t.Errorf("%d connections pending", open)
	}
}

// Records of a forgotten connection are told, without addresses, and not taken
// for losses of the ring.
func TestForgottenConnection(t *testing.T) {
	for before := 1; before < 8; before++ {
		w := watch(t, exchange.Options{MaxConns: 1})
		s := connection(1)
		for range before {
			s.play(in(getRequest), out(okReply))
		}
		w.batch(s.kernel.records...)
		w.batch(connection(2).play(in(getRequest), out(okReply)).kernel.records...)
		w.batch(s.play(in(get("/again")), out(okReply), end()).kernel.records[before:]...)
		w.settle()
		last := w.requests[len(w.requests)-1]
		if string(last.Target) != "/again" || last.Conn.Family != events.FamilyUnknown || last.Conn.ID != 1 || last.Wait.Known {
			t.Errorf("after %d: %+v %+v", before, last, last.Conn)
		}
		if got := w.Stats(); got.LostRecords != 0 || got.UnknownConns != 1 || got.EvictedConns != 2 {
			t.Errorf("after %d: %+v", before, got)
		}
	}
}

// Addresses that come late are taken.
func TestAddressesComeLate(t *testing.T) {
	raw := records([]step{in(get("/1")), out(okReply), in(get("/2")), out(okReply), in(get("/3")), out(okReply)})
	w := watch(t, exchange.Options{})
	w.batch(raw[1])
	w.settle()
	w.batch(raw[0])
	w.batch(raw[2])
	got := []events.Family{}
	for _, q := range w.requests {
		got = append(got, q.Conn.Family)
	}
	if d := cmp.Diff([]events.Family{events.FamilyUnknown, events.FamilyIPv4}, got); d != "" {
		t.Errorf("families (-want +got):\n%s", d)
	}
}

// Idle Unix sockets are forgotten, since nothing tells of their close.
func TestIdleLimit(t *testing.T) {
	s := newStage(t, exchange.Options{IdleLimit: time.Minute, MaxConns: 1})
	s.play(unixSocket(), in(getRequest), out(okReply))
	s.wait(2 * time.Minute)
	s.batch(connection(2).play(in(getRequest), out(okReply)).kernel.records...)
	if got := s.Stats(); got.EvictedConns != 0 || got.Finished != 2 {
		t.Errorf("%+v", got)
	}
}

// Heads that never end do not fill the memory.
func TestEndlessHeads(t *testing.T) {
	for name, head := range map[string]string{
		"interim": "HTTP/1.1 100 Continue\r\nX: ",
		"final":   "HTTP/1.1 200 OK\r\nX: ",
		"nothing": "HTTP/1.1 ",
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, exchange.Options{})
			s.play(in(getRequest))
			before := heapBytes()
			for range 4000 {
				s.play(out(head))
				s.seen, s.requests = nil, nil
			}
			if grown := heapBytes() - before; grown > 64<<10 {
				t.Errorf("%d bytes kept", grown)
			}
			if open := s.Stats().Open; open > 1 {
				t.Errorf("%d open exchanges", open)
			}
		})
	}
}

func heapBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

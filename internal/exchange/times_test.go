// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/internal/exchange"
	"probe/pkg/events"
)

const ms = time.Millisecond

// at plays one step so long after the epoch.
func at(offset time.Duration, do step) step {
	return func(s *sim) {
		s.now = epoch + offset
		do(s)
	}
}

// arriving is bytes whose last segment came at the given time.
func arriving(offset time.Duration, data string) step {
	return func(s *sim) {
		s.kernel.move(piece{dir: recv, data: []byte(data), now: uint64(s.now), arrived: uint64(epoch + offset)})
	}
}

// touch is a read that found nothing.
func touch() step { return func(s *sim) { s.kernel.touch(uint64(s.now)) } }

// times is what a test compares of the times of a Request, from the epoch on.
type times struct {
	Start, End, TTFB, Duration time.Duration
	Wait                       events.Wait
}

func timesOf(q *events.Request) times {
	x := times{TTFB: q.TTFB, Duration: q.Duration, Wait: q.Wait, End: time.Duration(q.EndNS) - epoch}
	if q.StartNS != 0 {
		x.Start = time.Duration(q.StartNS) - epoch
	}
	return x
}

func socket(d time.Duration) events.Wait { return events.Wait{Socket: d, Known: true} }

func accept(a, s time.Duration) events.Wait { return events.Wait{Accept: a, Socket: s, Known: true} }

func TestTimes(t *testing.T) {
	big := reply(200, large)
	tests := []struct {
		name  string
		steps []step
		want  []times
	}{
		{"read at once", []step{at(5*ms, arriving(5*ms, getRequest)), at(9*ms, out(okReply))},
			[]times{{5 * ms, 9 * ms, 4 * ms, 4 * ms, accept(0, 0)}}},
		{"waited for the accept", []step{at(25*ms, arriving(5*ms, getRequest)), at(29*ms, out(okReply))},
			[]times{{5 * ms, 29 * ms, 24 * ms, 24 * ms, accept(20*ms, 0)}}},
		{"accepted, then waited", []step{at(12*ms, touch()), at(25*ms, arriving(5*ms, getRequest)), at(29*ms, out(okReply))},
			[]times{{5 * ms, 29 * ms, 24 * ms, 24 * ms, accept(7*ms, 13*ms)}}},
		{"accepted before it came", []step{at(1*ms, touch()), at(25*ms, arriving(5*ms, getRequest)), at(29*ms, out(okReply))},
			[]times{{5 * ms, 29 * ms, 24 * ms, 24 * ms, accept(0, 20*ms)}}},
		{"second request", []step{at(1*ms, touch()), at(5*ms, arriving(5*ms, getRequest)), at(6*ms, out(okReply)),
			at(30*ms, arriving(10*ms, getRequest)), at(31*ms, out(okReply))},
			[]times{{5 * ms, 6 * ms, 1 * ms, 1 * ms, accept(0, 0)}, {10 * ms, 31 * ms, 21 * ms, 21 * ms, socket(20 * ms)}}},
		{"arrival not known", []step{at(5*ms, in(getRequest)), at(9*ms, out(okReply))},
			[]times{{5 * ms, 9 * ms, 4 * ms, 4 * ms, accept(0, 0)}}},
		{"body after the head", []step{at(5*ms, in(getRequest)), at(7*ms, out(okReply[:40])), at(50*ms, out(okReply[40:]))},
			[]times{{5 * ms, 50 * ms, 2 * ms, 45 * ms, accept(0, 0)}}},
		{"body counted, told by a sweep", []step{at(5*ms, in(getRequest)), at(7*ms, out(big[:600])), at(50*ms, out(big[600:])), at(90*ms, sweep())},
			[]times{{5 * ms, 50 * ms, 2 * ms, 45 * ms, accept(0, 0)}}},
		{"body counted, told by the close", []step{at(5*ms, in(getRequest)), at(7*ms, out(big[:600])), at(50*ms, out(big[600:])), at(900*ms, end())},
			[]times{{5 * ms, 50 * ms, 2 * ms, 45 * ms, accept(0, 0)}}},
		{"body counted, told by the next", []step{at(5*ms, in(getRequest)), at(7*ms, out(big[:600])), at(50*ms, out(big[600:])),
			at(800*ms, in(getRequest)), at(900*ms, out(okReply))},
			[]times{{5 * ms, 50 * ms, 2 * ms, 45 * ms, accept(0, 0)}, {800 * ms, 900 * ms, 100 * ms, 100 * ms, socket(0)}}},
		{"until the close", []step{at(5*ms, in(getRequest)), at(7*ms, out(closeHead)), at(50*ms, out(large)), at(900*ms, end())},
			[]times{{5 * ms, 50 * ms, 2 * ms, 45 * ms, accept(0, 0)}}},
		{"aborted", []step{at(5*ms, in(getRequest)), at(7*ms, out(okReply[:40])), at(900*ms, end())},
			[]times{{5 * ms, 7 * ms, 2 * ms, 2 * ms, accept(0, 0)}}},
		{"unanswered", []step{at(5*ms, in(getRequest)), at(900*ms, end())},
			[]times{{5 * ms, 900 * ms, 0, 895 * ms, accept(0, 0)}}},
		{"interim", []step{at(5*ms, in(getRequest)), at(7*ms, out("HTTP/1.1 100 Continue\r\n\r\n")), at(50*ms, out(okReply))},
			[]times{{5 * ms, 50 * ms, 45 * ms, 45 * ms, accept(0, 0)}}},
		{"status line in pieces", []step{at(5*ms, in(getRequest)), at(7*ms, out("HTTP/1.")), at(50*ms, out(okReply[7:]))},
			[]times{{5 * ms, 50 * ms, 2 * ms, 45 * ms, accept(0, 0)}}},
		{"interim and status line in pieces", []step{at(5*ms, in(getRequest)), at(7*ms, out("HTTP/1.1 100 Continue\r\n\r\nHTT")), at(50*ms, out(okReply[3:]))},
			[]times{{5 * ms, 50 * ms, 2 * ms, 45 * ms, accept(0, 0)}}},
		{"request byte by byte", []step{at(5*ms, in(getRequest[:3])), at(40*ms, in(getRequest[3:])), at(50*ms, out(okReply))},
			[]times{{5 * ms, 50 * ms, 45 * ms, 45 * ms, accept(0, 0)}}},
		{"pipelined in one read", []step{at(5*ms, in(get("/1")+get("/2"))), at(7*ms, out(okReply)), at(9*ms, out(okReply))},
			[]times{{5 * ms, 7 * ms, 2 * ms, 2 * ms, accept(0, 0)}, {5 * ms, 9 * ms, 4 * ms, 4 * ms, accept(0, 0)}}},
		{"pipelined in two reads", []step{at(5*ms, in(get("/1"))), at(6*ms, in(get("/2"))), at(7*ms, out(okReply)), at(9*ms, out(okReply))},
			[]times{{5 * ms, 7 * ms, 2 * ms, 2 * ms, accept(0, 0)}, {6 * ms, 9 * ms, 3 * ms, 3 * ms, socket(0)}}},
		{"response without its request", []step{at(7*ms, out(okReply))}, []times{{End: 7 * ms}}},
		{"Unix socket", []step{unixSocket(), at(5*ms, in(getRequest)), at(9*ms, out(okReply))},
			[]times{{5 * ms, 9 * ms, 4 * ms, 4 * ms, events.Wait{}}}},
		{"client", []step{at(5*ms, out(getRequest)), at(9*ms, in(okReply[:30])), at(12*ms, in(okReply[30:]))},
			[]times{{5 * ms, 12 * ms, 4 * ms, 7 * ms, events.Wait{}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []times
			for _, q := range run(t, events.MaxHead, tt.steps...).requests {
				got = append(got, timesOf(&q))
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("times (-want +got):\n%s", d)
			}
		})
	}
}

// The parts never exceed the whole, whatever the clocks of two CPUs say.
func TestTimesThatGoBack(t *testing.T) {
	late := run(t, events.MaxHead, at(9*ms, touch()), at(5*ms, arriving(4*ms, getRequest)), at(3*ms, out(okReply))).requests
	if len(late) != 1 {
		t.Fatalf("%d requests", len(late))
	}
	q := late[0]
	if q.Duration != 0 || q.TTFB != 0 || q.Wait.Accept > ms || q.Wait.Accept+q.Wait.Socket != ms {
		t.Errorf("%+v", q)
	}
}

// What a Request says beside times and bytes.
func TestIdentity(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps []step
		want  events.Request
	}{
		{"server", []step{in(getRequest), out(okReply)}, events.Request{Role: events.RoleServer}},
		{"client", []step{out(getRequest), in(okReply)}, events.Request{Role: events.RoleClient}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, events.MaxHead, tt.steps...).requests[0]
			if got.Role != tt.want.Role || got.PID != simPID || got.TID != simTID || got.ProtoMinor != 1 || string(got.Host) != "example.org" {
				t.Errorf("%+v", got)
			}
			want := &events.Conn{ID: 1<<48 | 1, Family: events.FamilyIPv4, Comm: "sim", Cgroup: 7,
				Local: events.Endpoint{Port: 80}, Remote: events.Endpoint{Port: 5000}}
			if d := cmp.Diff(want, got.Conn); d != "" {
				t.Errorf("connection (-want +got):\n%s", d)
			}
		})
	}
}

// A connection that is passed to a process of the same command in another control
// group has another description from there on.
func TestPassedToAnotherGroup(t *testing.T) {
	got := run(t, events.MaxHead, in(getRequest), out(okReply), func(s *sim) {
		s.kernel.announced, s.kernel.cgroup = false, 8
	}, in(getRequest), out(okReply), in(getRequest), out(okReply)).requests
	if len(got) != 3 {
		t.Fatalf("%d requests, want 3", len(got))
	}
	for i, want := range []uint64{7, 8, 8} {
		if got[i].Conn.Cgroup != want {
			t.Errorf("request %d: group %d, want %d", i+1, got[i].Conn.Cgroup, want)
		}
	}
}

// Two roles of one exchange agree on everything but the waits.
func TestClientRole(t *testing.T) {
	for name, steps := range map[string][2][]step{
		"keep-alive": {{in(getRequest), out(okReply), in(get("/2")), out(reply(500, "x"))},
			{out(getRequest), in(okReply), out(get("/2")), in(reply(500, "x"))}},
		"pipelined": {{in(getRequest, get("/2")), out(okReply, chunkedReply)},
			{out(getRequest, get("/2")), in(okReply, chunkedReply)}},
		"large": {{in(getRequest), out(halves(reply(200, large), 700)...), end()},
			{out(getRequest), in(halves(reply(200, large), 700)...), end()}},
		"upload": {{in(halves(post("/p", large), 600)...), out(okReply), end()},
			{out(halves(post("/p", large), 600)...), in(okReply), end()}},
		"unanswered": {{in(getRequest), end()}, {out(getRequest), end()}},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := run(t, events.MaxHead, steps[0]...), run(t, events.MaxHead, steps[1]...)
			if d := cmp.Diff(server.seen, client.seen); d != "" {
				t.Errorf("server and client (-server +client):\n%s", d)
			}
			if len(client.seen) == 0 {
				t.Error("nothing told")
			}
			for _, q := range client.requests {
				if q.Role != events.RoleClient || q.Wait != (events.Wait{}) {
					t.Errorf("client: %+v", q)
				}
			}
		})
	}
}

// The callback's request is lent: the tracker overwrites it. What it hands out
// must be whole at that moment, also for heads kept over many records.
func TestBorrowed(t *testing.T) {
	w := watch(t, exchange.Options{})
	a, b := connection(1), connection(2)
	first := a.play(in(get("/first")), sweepOld()).kernel.records
	other := b.play(in(get("/other/connection")), sweepOld()).kernel.records
	w.batch(first...)
	w.batch(other...)
	w.batch(a.play(out(okReply[:20], okReply[20:])).kernel.records[len(first):]...)
	w.batch(b.play(out(okReply)).kernel.records[len(other):]...)
	want := []seen{ok(get("/first"), okReply), ok(get("/other/connection"), okReply)}
	if d := cmp.Diff(want, w.seen); d != "" {
		t.Errorf("requests (-want +got):\n%s", d)
	}
}

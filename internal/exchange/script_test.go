// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/internal/exchange"
	"probe/pkg/events"
)

// step is one thing that happens on a connection. Steps without a time of their
// own come 1 ms apart.
type step func(s *sim)

// sim plays steps against a simulated kernel.
type sim struct {
	kernel simConn
	now    time.Duration // after boot
}

// baseOffset is where the streams of the tests begin: large, and such that the
// low half, the kernel's own sequence number, wraps within the test.
const baseOffset = 3<<32 - 100

// epoch keeps every time of a test above zero, which means "not known".
const epoch = time.Hour

func newSim(capture int) *sim {
	return &sim{now: epoch, kernel: simConn{
		capture: capture, id: 1<<48 | 1, family: events.FamilyIPv4, rx: baseOffset, tx: baseOffset + 7, cgroup: 7,
	}}
}

func (s *sim) play(steps ...step) *sim {
	for _, do := range steps {
		s.now += time.Millisecond
		do(s)
	}
	return s
}

// in is bytes received, out bytes sent, by one call each.
func in(parts ...string) step  { return moves(recv, parts) }
func out(parts ...string) step { return moves(send, parts) }

func moves(dir direction, parts []string) step {
	return func(s *sim) {
		for i, data := range parts {
			if i > 0 {
				s.now += time.Millisecond
			}
			s.kernel.move(piece{dir: dir, data: []byte(data), now: uint64(s.now)})
		}
	}
}

// bytewise turns each byte into a part.
func bytewise(text string) []string {
	parts := make([]string, len(text))
	for i := range text {
		parts[i] = text[i : i+1]
	}
	return parts
}

// sendfile is n bytes sent that no hook can read.
func sendfile(n int) step {
	return func(s *sim) {
		s.kernel.move(piece{dir: send, data: make([]byte, n), now: uint64(s.now), unknown: true})
	}
}

func end() step   { return func(s *sim) { s.kernel.close(uint64(s.now), false) } }
func reset() step { return func(s *sim) { s.kernel.close(uint64(s.now), true) } }
func sweep() step { return func(s *sim) { s.kernel.sweep(uint64(s.now), 0, false) } }

// sweepOld also tells the requests that were not answered yet.
func sweepOld() step { return func(s *sim) { s.kernel.sweep(uint64(s.now), uint64(s.now), false) } }

// unixSocket turns the connection into a Unix socket, whose close is not seen.
func unixSocket() step {
	return func(s *sim) {
		s.kernel.family = events.FamilyUnix
		s.kernel.rx, s.kernel.tx = 0, 0
	}
}

// seen is what a test compares of a Request.
type seen struct {
	Method, Target string
	Status         uint16
	Outcome        string
	In, Out        int
	Flags          events.Flags
}

func (s seen) with(f events.Flags) seen {
	s.Flags |= f
	return s
}

const uncertain = events.FlagBytesUncertain | events.FlagTimeUncertain

// result is everything a run of a tracker handed out.
type result struct {
	seen     []seen
	requests []events.Request // with own bytes
	stats    exchange.Stats
}

// failer is a test, or one case of a property.
type failer interface {
	Helper()
	Error(args ...any)
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// watched is a tracker that copies what it hands out and checks its books.
type watched struct {
	*exchange.Tracker
	t failer
	result
	rests bool // a response that may be over is open, and not in flight
}

func watch(t failer, o exchange.Options) *watched {
	w := &watched{t: t}
	w.Tracker = exchange.New(o, w.take)
	return w
}

func (w *watched) take(q *events.Request) {
	own := *q
	own.Method, own.Target, own.Host = bytes.Clone(q.Method), bytes.Clone(q.Target), bytes.Clone(q.Host)
	w.requests = append(w.requests, own)
	w.seen = append(w.seen, seen{
		Method: string(q.Method), Target: string(q.Target), Status: q.Status, Outcome: q.Outcome.String(),
		In: int(q.RequestBytes), Out: int(q.ResponseBytes), Flags: q.Flags,
	})
	if q.Conn == nil {
		w.t.Error("request without a connection")
	}
}

// feed decodes as the agent does. The record's memory is reused afterwards, as
// the ring's is.
func (w *watched) feed(raw []byte) {
	w.t.Helper()
	borrowed := bytes.Clone(raw)
	var r events.Record
	if err := events.Decode(borrowed, &r); err != nil {
		w.t.Fatalf("decode: %v", err)
	}
	w.Feed(&r)
	for i := range borrowed {
		borrowed[i] = '#'
	}
	w.checkBooks()
}

func (w *watched) checkBooks() {
	w.t.Helper()
	s := w.Stats()
	if s.Started+s.Pipelined+s.Orphans != s.Finished+s.Open+s.NotHTTP+s.Evicted+s.Unseen+s.Raced+s.Doubtful {
		w.t.Fatalf("books do not balance: %+v", s)
	}
	open := 0
	w.InFlight(func(_ *events.Conn, _ events.Role, _ uint32, n int) { open += n })
	conns, _ := w.Pending()
	if uint64(open) != s.Open && !w.rests || (conns > 0) != (s.Open > 0) {
		w.t.Fatalf("%d open exchanges on %d connections, books say %d", open, conns, s.Open)
	}
}

// checkKernel: every request that the kernel side took was told once, or is
// still kept there, or was dropped untold.
func (w *watched) checkKernel(k *simConn) {
	w.t.Helper()
	s, kept := w.Stats(), uint64(0)
	if k.phase == phaseRequest && !k.reported {
		kept = 1
	}
	if told := s.Started + s.InsideBody; k.starts != told+kept+k.notAnswered+k.racedStarts {
		w.t.Errorf("%d requests taken; %d told, %d kept, %d not answered by HTTP, %d where a call was left out: %+v", k.starts, told, kept, k.notAnswered, k.racedStarts, s)
	}
}

// batch feeds records as one drain of the ring.
func (w *watched) batch(records ...[]byte) {
	w.t.Helper()
	for _, raw := range records {
		w.feed(raw)
	}
	w.EndBatch()
	w.checkBooks()
}

// settle lets batches without a record pass, until nothing is waited for.
func (w *watched) settle() {
	w.t.Helper()
	for range 16 {
		w.batch()
	}
}

// run plays the steps and feeds all records as one batch.
func run(t testing.TB, capture int, steps ...step) result {
	t.Helper()
	w := watch(t, exchange.Options{})
	s := newSim(capture).play(steps...)
	w.batch(s.kernel.records...)
	w.checkKernel(&s.kernel)
	w.stats = w.Stats()
	return w.result
}

// script is one row of the framing tables.
type script struct {
	name    string
	capture int // 0: the largest
	steps   []step
	want    []seen
	stats   func(*exchange.Stats) // sets what differs from Started = Finished = len(want)
}

func runScripts(t *testing.T, tests []script) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			capture := tt.capture
			if capture == 0 {
				capture = events.MaxHead
			}
			got := run(t, capture, tt.steps...)
			if d := cmp.Diff(tt.want, got.seen); d != "" {
				t.Errorf("requests (-want +got):\n%s", d)
			}
			n := uint64(len(tt.want))
			want := exchange.Stats{Started: n, Finished: n}
			if tt.stats != nil {
				tt.stats(&want)
			}
			if d := cmp.Diff(want, got.stats); d != "" {
				t.Errorf("books (-want +got):\n%s", d)
			}
		})
	}
}

// Messages of the tests.

const getRequest = "GET /a?q=1 HTTP/1.1\r\nHost: example.org\r\n\r\n"

func get(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n" }

func post(target, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", target, len(body), body)
}

func reply(status int, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

const (
	okReply      = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	chunkedHead  = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	chunkedReply = chunkedHead + "5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n"
	closeHead    = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
)

// ok is a finished exchange of these bytes.
func ok(request, response string) seen {
	var method, target, version string
	if _, err := fmt.Sscan(request, &method, &target, &version); err != nil {
		panic(err)
	}
	s := seen{Method: method, Target: target, Outcome: "ok", In: len(request), Out: len(response)}
	if response != "" {
		if _, err := fmt.Sscanf(response[len("HTTP/1.1 "):], "%d", &s.Status); err != nil {
			panic(err)
		}
	}
	if s.Status >= 500 {
		s.Outcome = "error"
	}
	return s
}

func (s seen) outcome(o string) seen {
	s.Outcome = o
	return s
}

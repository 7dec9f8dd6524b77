// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probe/internal/exchange"
	"probe/pkg/events"
)

// conversations are whole connections with records of every kind.
func conversations() map[string][]step {
	one, two, three := get("/1"), get("/2"), get("/3")
	long := chunkedHead + "1000\r\n" + large + "\r\n0\r\n\r\n"
	return map[string][]step{
		"keep-alive": {in(one), out(okReply), in(two), out(reply(404, "")), in(three), out(reply(500, "x")), in(get("/4")), out(okReply), end()},
		"pipelined":  {in(one, two), sweepOld(), in(three), out(reply(201, "a"), reply(202, "bc"), reply(203, "def")), end()},
		"pipelined in one read": {in(one + two + three), out(reply(201, "a") + reply(202, "bc")), out(reply(203, "def")),
			in(get("/4")), out(okReply), end()},
		"long answers": {in(one), out(halves(long, 900)...), sweep(), in(two), out(halves(reply(200, large), 900)...), sweep(),
			out("no part of it"), sweep(), in(three), out(okReply), end()},
		"split heads": {in(one[:9], one[9:]), out(okReply[:4], okReply[4:20], okReply[20:]), in(two), out(halves(chunkedReply, 60)...),
			in(three), out(reply(204, "")), end()},
		"interim":        {in(one), out("HTTP/1.1 100 Continue\r\n\r\n"), out(okReply), in(two), out("HTTP/1.1 103 Early\r\n\r\n" + reply(200, "abc")), end()},
		"until close":    {in(one), sweepOld(), out(okReply), in(two), out(closeHead, large), sweep(), out(large), end()},
		"unanswered":     {in(one), out(okReply), in(two), sweepOld(), in(three), sweepOld(), end()},
		"early response": {in(post("/p", large)[:200]), out(reply(413, "big")), in(large), in(two), out(okReply), end()},
		"aborted":        {in(one), out(okReply), in(two), out(reply(200, large)[:800], "abc"), end()},
		"no request":     {out(okReply), in(one), out(reply(201, "a")), in(two), out(reply(202, "b")), end()},
	}
}

func records(steps []step) [][]byte { return newSim(events.MaxHead).play(steps...).kernel.records }

func feedAll(t testing.TB, batches ...[][]byte) result {
	t.Helper()
	w := watch(t, exchange.Options{})
	for _, b := range batches {
		w.batch(b...)
	}
	w.settle()
	w.stats = w.Stats()
	return w.result
}

// permutations calls fn with every order of n things.
func permutations(n int, fn func(order []int)) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var choose func(k int)
	choose = func(k int) {
		if k == n {
			fn(order)
			return
		}
		for i := k; i < n; i++ {
			order[k], order[i] = order[i], order[k]
			choose(k + 1)
			order[k], order[i] = order[i], order[k]
		}
	}
	choose(0)
}

// Neighbours that swap places in one batch change nothing.
func TestOutOfOrder(t *testing.T) {
	for name, steps := range conversations() {
		t.Run(name, func(t *testing.T) {
			raw := records(steps)
			want := feedAll(t, raw)
			for window := 2; window <= 4; window++ {
				for at := 0; at+window <= len(raw); at++ {
					permutations(window, func(order []int) {
						mixed := slices.Clone(raw)
						for i, from := range order {
							mixed[at+i] = raw[at+from]
						}
						got := feedAll(t, mixed)
						if d := cmp.Diff(want.seen, got.seen); d != "" {
							t.Fatalf("records from %d in order %v (-want +got):\n%s", at, order, d)
						}
						if got.stats.LostRecords != 0 || got.stats.Open != want.stats.Open {
							t.Fatalf("records from %d in order %v: %+v", at, order, got.stats)
						}
					})
				}
			}
		})
	}
}

// checkAgainst: every result is right, or says that it is uncertain.
func checkAgainst(t *testing.T, want, got result, what string) {
	t.Helper()
	left := slices.Clone(want.seen)
	for _, s := range got.seen {
		if i := slices.Index(left, s); i >= 0 {
			left = slices.Delete(left, i, i+1)
			continue
		}
		if s.Flags == 0 && s.Outcome != "in_progress" {
			t.Errorf("%s: wrong and not flagged: %+v\ntruth: %+v\ngot: %+v", what, s, want.seen, got.seen)
		}
	}
}

// delayed are batches in which one record comes after the next one and so many
// empty batches.
func delayed(raw [][]byte, at, batches int) [][][]byte {
	early := slices.Concat(raw[:at], raw[at+1:at+2])
	return slices.Concat([][][]byte{early}, make([][][]byte, batches), [][][]byte{raw[at : at+1], raw[at+2:]})
}

// A record that comes with the next batches changes nothing: a CPU was taken
// away from whoever was about to put it into the ring.
func TestLateByBatches(t *testing.T) {
	for name, steps := range conversations() {
		t.Run(name, func(t *testing.T) {
			raw := records(steps)
			want := feedAll(t, raw)
			for at := 0; at+1 < len(raw); at++ {
				got := feedAll(t, delayed(raw, at, 14)...)
				if d := cmp.Diff(want.seen, got.seen); d != "" {
					t.Errorf("record %d late (-want +got):\n%s", at, d)
				}
				if got.stats.LostRecords != 0 {
					t.Errorf("record %d late: %+v", at, got.stats)
				}
			}
		})
	}
}

// Records that come when they are not waited for any more, as late ones.
func TestLate(t *testing.T) {
	for name, steps := range conversations() {
		t.Run(name, func(t *testing.T) {
			raw := records(steps)
			want := feedAll(t, raw)
			for at := 0; at+1 < len(raw); at++ {
				got := feedAll(t, delayed(raw, at, 16)...)
				checkAgainst(t, want, got, fmt.Sprintf("record %d late", at))
				if got.stats.LostRecords > 1 {
					t.Errorf("record %d late: %+v", at, got.stats)
				}
			}
		})
	}
}

// Any one or two records are lost: what is told then is right or flagged.
func TestLost(t *testing.T) {
	for name, steps := range conversations() {
		t.Run(name, func(t *testing.T) {
			raw := records(steps)
			want := feedAll(t, raw)
			for i := range raw {
				for j := i; j < len(raw); j++ {
					var kept [][]byte
					for k, r := range raw {
						if k != i && k != j {
							kept = append(kept, r)
						}
					}
					got := feedAll(t, kept)
					what := fmt.Sprintf("records %d and %d lost", i, j)
					checkAgainst(t, want, got, what)
					lost := uint64(len(raw) - len(kept))
					if got.stats.LostRecords > lost || j < len(raw)-1 && i > 0 && got.stats.LostRecords != lost {
						t.Errorf("%s: counted %d", what, got.stats.LostRecords)
					}
				}
			}
		})
	}
}

// More records are missing than are waited for. Those that come in their turn
// are all told, and right; late ones count as lost.
func TestManyMissing(t *testing.T) {
	var steps []step
	for i := range 30 {
		steps = append(steps, in(get(fmt.Sprint("/", i))), out(reply(200+i, fmt.Sprint(i))))
	}
	raw := records(steps)
	want := feedAll(t, raw)
	for _, tt := range []struct{ from, to int }{{1, 2}, {3, 9}, {10, 29}, {1, 29}} {
		got := feedAll(t, slices.Concat(raw[:tt.from], raw[tt.to:], raw[tt.from:tt.to]))
		checkAgainst(t, want, got, fmt.Sprintf("%d to %d late", tt.from, tt.to))
		if told, lost := len(got.seen), int(got.stats.LostRecords); told+lost != len(raw) || told < len(raw)-(tt.to-tt.from) {
			t.Errorf("%d to %d late: %d told, %d lost of %d", tt.from, tt.to, told, lost, len(raw))
		}
	}
}

// numbered is a record with another sequence number.
func numbered(t *testing.T, raw []byte, seq uint32) []byte {
	t.Helper()
	var r events.Record
	if err := events.Decode(raw, &r); err != nil {
		t.Fatal(err)
	}
	r.Seq = seq
	return r.Append(nil)
}

// Whatever follows a close in the same batch counts as lost, and leaves nothing
// behind that no later close could end.
func TestAfterTheClose(t *testing.T) {
	raw := records([]step{in(get("/1")), out(okReply), end()})
	more := records([]step{in(get("/1")), out(okReply), in(get("/2")), out(okReply), in(get("/3")), sweepOld()})
	first, closing, start := raw[0], raw[1], more[2]
	n := func(r []byte, seq uint32) []byte { return numbered(t, r, seq) }
	tests := []struct {
		name    string
		records [][]byte
		lost    uint64
	}{
		{"held, then released", [][]byte{first, n(closing, 3), n(start, 4)}, 2 + 1},
		{"held, then replayed", [][]byte{first, n(start, 2), n(closing, 1)}, 1},
		{"released by too many", [][]byte{first, n(closing, 3), n(start, 4), n(start, 5), n(start, 6), n(start, 7)}, 2 + 4},
		{"closed twice", [][]byte{first, n(closing, 1), n(closing, 2)}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := watch(t, exchange.Options{})
			w.batch(tt.records...)
			w.settle()
			if got := w.Stats().LostRecords; got != tt.lost {
				t.Errorf("%d lost, want %d", got, tt.lost)
			}
			w.batch(n(closing, 50))
			if open, _ := w.Pending(); open != 0 {
				t.Errorf("%d connections pending after the close", open)
			}
		})
	}
}

// A full ring loses records of very many connections: they do not wait, and
// what follows is told at once.
func TestManyConnectionsWait(t *testing.T) {
	const conns = 1025
	w := watch(t, exchange.Options{})
	for id := range uint64(conns) {
		s := connection(id+1).play(in(get("/1")), out(okReply), in(get("/2")), out(okReply), in(get("/3")), out(okReply))
		w.feed(s.kernel.records[0])
		w.feed(s.kernel.records[2])
	}
	if got := w.Stats(); got.Finished != conns || got.LostRecords != 0 {
		t.Fatalf("before the end of the batch: %+v", got)
	}
	w.EndBatch()
	if got := w.Stats(); got.Finished != 2*conns || got.LostRecords != conns {
		t.Errorf("%d finished, %d lost, want %d and %d", got.Finished, got.LostRecords, 2*conns, conns)
	}
}

// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"testing"

	"probe/internal/exchange"
)

// A sweep on another CPU looks at a connection while it is closed, and its
// record comes behind the close, with the same number or the next one: it is
// counted, is no loss, and no request comes of it.
func TestSweepBehindTheClose(t *testing.T) {
	raw := records([]step{in(get("/1")), out(okReply), end()})
	swept := records([]step{in(get("/1")), out(okReply), in(get("/2")), sweepOld()})
	for name, steps := range map[string]struct {
		seq     uint32
		batches bool
	}{
		"same number": {1, false}, "next number": {2, false}, "same number, later": {1, true}, "next number, later": {2, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, exchange.Options{})
			behind := numbered(t, swept[len(swept)-1], steps.seq)
			if steps.batches {
				w.batch(raw...)
				w.batch(behind)
			} else {
				w.batch(append(raw[:len(raw):len(raw)], behind)...)
			}
			w.settle()
			if got, want := w.Stats(), (exchange.Stats{Started: 1, Finished: 1, AfterClose: 1}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// Only the last closes are remembered: those before are as unknown as ever.
func TestClosesAreForgotten(t *testing.T) {
	w := watch(t, exchange.Options{})
	behind := func(id uint64) []byte {
		s := connection(id).play(in(get("/1")), out(okReply), in(get("/2")), sweepOld())
		return s.kernel.records[len(s.kernel.records)-1]
	}
	for id := range uint64(257) {
		w.batch(connection(id+1).play(in(get("/1")), out(okReply), end()).kernel.records...)
	}
	w.batch(behind(2), behind(257))
	if got := w.Stats(); got.AfterClose != 2 || got.Started != 257 {
		t.Errorf("records of remembered connections: %+v", got)
	}
	w.batch(behind(1))
	w.settle()
	if got := w.Stats(); got.AfterClose != 2 || got.Started != 258 {
		t.Errorf("a record of a forgotten one: %+v", got)
	}
}

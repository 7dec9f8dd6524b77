// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"probe/internal/exchange"
	"probe/pkg/events"
)

// told keeps everything that a tracker hands out.
type told struct {
	*exchange.Tracker
	requests []events.Request
}

func newTold() *told {
	w := &told{}
	w.Tracker = exchange.New(exchange.Options{Times: true}, func(q *events.Request) {
		kept := *q
		kept.Method, kept.Target, kept.Host = bytes.Clone(q.Method), bytes.Clone(q.Target), bytes.Clone(q.Host)
		kept.HeadID = 0 // which heads are compared is another matter
		w.requests = append(w.requests, kept)
	})
	return w
}

// The short way of a record with a whole exchange comes to the same result as the
// long one, which a record with the addresses takes: whatever is lost before it,
// and also where its numbers are wrong.
func TestWholeExchanges(t *testing.T) {
	short := 0
	rapid.Check(t, func(rt *rapid.T) {
		d := talkWhole(rt, 80)
		a, b := newTold(), newTold()
		var conn events.RawConn
		for _, raw := range d.records() {
			var r events.Record
			if err := events.Decode(raw, &r); err != nil {
				rt.Fatal(err)
			}
			if r.Has&events.HasConn != 0 {
				conn = r.Conn
			} else if d.chance("lost", 3) {
				continue
			}
			if d.chance("wrong", 5) {
				r.ReqOff += uint64(d.number("request", -1, 1))
				r.RespOff += uint64(d.number("response", -1, 1))
				r.RespEnd = max(r.RespEnd+uint64(d.number("end", -1, 1)), r.RespOff)
			}
			if d.chance("times", 30) {
				r.Has |= events.HasTimes
				r.Times = events.RawTimes{UntilNS: r.NowNS, Attribution: events.AttributionThread}
				r.Times.PartNS[events.PartDisk] = 1
			}
			long := r
			if r.Has&events.HasConn == 0 && conn.Family != events.FamilyUnknown {
				long.Has, long.Conn = r.Has|events.HasConn, conn
				if d.chance("connection", 90) { // else both begin with it
					short++
				} else {
					r = long
				}
			}
			a.Feed(&r)
			b.Feed(&long)
		}
		a.Close(1 << 62)
		b.Close(1 << 62)
		if diff := cmp.Diff(b.requests, a.requests, cmpopts.EquateEmpty()); diff != "" {
			rt.Fatalf("requests (-long way +short way):\n%s", diff)
		}
		if diff := cmp.Diff(b.Stats(), a.Stats()); diff != "" {
			rt.Fatalf("books (-long way +short way):\n%s", diff)
		}
	})
	if short < 100 {
		t.Errorf("only %d records without addresses", short)
	}
}

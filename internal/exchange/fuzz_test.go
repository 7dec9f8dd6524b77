// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"probe/internal/exchange"
	"probe/pkg/events"
)

// smallLimits are reached within one fuzz input.
var smallLimits = exchange.Options{MaxConns: 3, MaxQueue: 3, AgeLimit: time.Second, IdleLimit: time.Minute}

func (w *watched) checkLimits() {
	w.t.Helper()
	w.checkBooks()
	if open, _ := w.Pending(); open > smallLimits.MaxConns {
		w.t.Fatalf("%d connections pending", open)
	}
	if s := w.Stats(); s.Open > uint64(smallLimits.MaxConns*smallLimits.MaxQueue) {
		w.t.Fatalf("%d exchanges open", s.Open)
	}
}

// Records as bytes, of any content and in any order: no panic, the books
// balance, the limits hold.
func FuzzFeed(f *testing.F) {
	for _, steps := range conversations() {
		raw := records(steps)
		f.Add(bytes.Join(raw, nil), uint64(0))
		slices.Reverse(raw)
		f.Add(bytes.Join(raw, []byte{0xff}), ^uint64(0))
		f.Add(bytes.Join(slices.Concat(raw[:len(raw)/2], raw), nil), uint64(0x0804020180402010))
	}
	f.Fuzz(func(t *testing.T, raw []byte, between uint64) {
		raw = bytes.Clone(raw)
		w := watch(t, smallLimits)
		w.rests = true
		now := uint64(epoch)
		for len(raw) >= events.RecordLen {
			var r events.Record
			n := repair(&r, raw, between>>63 != 0)
			w.Feed(&r)
			clear(raw[:n]) // the ring is reused
			w.checkLimits()
			raw = raw[n:]
			between = between>>1 | between<<63
			if between&1 != 0 {
				now += uint64(time.Second)
				w.EndBatch()
				w.BeginSweep(now)
				w.EndSweep()
				w.Tick(now)
				w.checkLimits()
			}
		}
		w.Close(now)
		w.checkLimits()
	})
}

// repair decodes the record at the start of raw, whatever it is: as it stands if
// it is valid, else with its fields brought into range. Few connections and, if
// near, small offsets make records meet. It returns the length of the record.
func repair(r *events.Record, raw []byte, near bool) int {
	if events.Decode(raw, r) != nil {
		le := binary.LittleEndian
		rest := len(raw) - events.RecordLen
		le.PutUint16(raw[0:], le.Uint16(raw[0:])&0x3ff)
		raw[2], raw[3], raw[20], raw[21] = raw[2]%3, raw[3]%9, raw[20]%2, raw[21]%2
		if rest < events.ConnLen {
			raw[0] &^= byte(events.HasConn)
		} else {
			rest -= events.ConnLen
		}
		for _, at := range []int{4, 6} {
			n := min(int(le.Uint16(raw[at:])), events.MaxHead, rest)
			le.PutUint16(raw[at:], uint16(n))
			rest -= n
		}
		le.PutUint64(raw[96:], max(le.Uint64(raw[96:]), le.Uint64(raw[88:])))
		if err := events.Decode(raw, r); err != nil {
			panic(err)
		}
	}
	n := events.RecordLen + len(r.RespData) + len(r.ReqHead)
	if r.Has&events.HasConn != 0 {
		n += events.ConnLen
	}
	r.ConnID &= 7
	r.Seq &= 31
	if near {
		for _, v := range []*uint64{&r.ReqOff, &r.ReqEnd, &r.RespOff, &r.RespEnd} {
			*v &= 255
		}
		r.RespEnd = max(r.RespEnd, r.RespOff)
	}
	return n
}

// The bytes of both directions, of any content, through the simulated kernel.
func FuzzTraffic(f *testing.F) {
	script := func(parts ...string) []byte {
		var b []byte
		for _, p := range parts {
			op, text := p[0], p[1:]
			b = append(b, op, byte(len(text)))
			b = append(b, text...)
		}
		return b
	}
	f.Add(script("<"+get("/"), ">"+okReply, "<"+get("/2"), "s", ">"+chunkedReply, "b", "x"), false)
	f.Add(script("<"+get("/1")+get("/2"), ">"+okReply+okReply, "<GET", "o", "< /3 HTTP/1.1\r\n\r\n", "x"), true)
	f.Add(script("<"+post("/p", "body"), ">HTTP/1.1 100 Continue\r\n\r\n", ">"+okReply, "x"), false)
	f.Add(script("<get foo\r\n", "o", ">END\r\n", "x"), true)
	f.Add(script("<POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "<5\r\nhello\r\n", "<0\r\n\r\n", ">"+closeHead, ">abc", "t", "x"), false)
	f.Add(script("f\x20", "<"+get("/1"), ">HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n", ">abc\r\n0\r\n\r\n", "r"), true)
	f.Fuzz(func(t *testing.T, raw []byte, small bool) {
		s := newStage(t, smallLimits)
		if small {
			s.sim.kernel.capture = 64
		}
		for len(raw) >= 2 {
			op, n := raw[0], min(int(raw[1]), len(raw)-2)
			text := string(raw[2 : 2+n])
			raw = raw[2+n:]
			switch op {
			case '<':
				s.sim.play(in(text))
			case '>':
				s.sim.play(out(text))
			case 'f':
				s.sim.kernel.flying = uint64(n)
			case 's':
				s.sim.play(sweep())
			case 'o':
				s.sim.play(sweepOld())
			case 'b':
				s.play()
			case 't':
				s.wait(time.Second)
			case 'x', 'r':
				s.sim.kernel.close(uint64(s.sim.now), op == 'r')
			}
		}
		s.play(end())
		s.checkLimits()
		if open, _ := s.Pending(); open != 0 {
			t.Fatalf("%d connections pending after the close", open)
		}
	})
}

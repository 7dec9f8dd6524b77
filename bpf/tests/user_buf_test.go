// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// maxIovecs is MAX_IOVECS of user_buf.h and maxCopy PROBE_HEAD_MAX of abi.h.
const (
	maxIovecs = int(unitUnitLimitUNIT_MAX_IOVECS)
	maxCopy   = 512
)

// spread are n bytes, one to an iovec.
func spread(n int) [][]byte { return bytes.SplitAfter([]byte(strings.Repeat("x", n)), nil)[:n] }

// split cuts data into n pieces of odd sizes, some of them empty.
func split(r *rand.Rand, data []byte, n int) [][]byte {
	pieces := make([][]byte, 0, n)
	for ; n > 1; n-- {
		size := r.IntN(2*len(data)/n + 1)
		if r.IntN(5) == 0 {
			size = 0
		}
		size = min(size, len(data))
		pieces, data = append(pieces, data[:size]), data[size:]
	}
	return append(pieces, data)
}

// reach are the bytes in the iovecs that are followed.
func reach(pieces [][]byte) []byte {
	return bytes.Join(pieces[:min(len(pieces), maxIovecs)], nil)
}

func TestGatherIovecs(t *testing.T) {
	u := newUnit(t, unitProgUnitGather, 512)
	m := newMemory(t)
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 600 {
		m.reset()
		data := make([]byte, 1+r.IntN(700))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		pieces := split(r, data, 1+r.IntN(maxIovecs+2))
		from, want := r.IntN(len(data)+10), r.IntN(maxCopy+1)
		if round%2 == 0 {
			from = 0
		}
		ctx := unitGatherCtx{Base: m.iovecs(pieces...), Iovecs: uint64(len(pieces)), From: uint64(from), Want: uint64(want)}
		run(t, u, &ctx)
		expect := reach(pieces)
		expect = expect[min(from, len(expect)):]
		expect = expect[:min(want, len(expect))]
		if got := u.copied(t, ctx.Got); !bytes.Equal(got, expect) {
			t.Fatalf("%d bytes in %d iovecs, %d from %d: got %d bytes, want %d, equal: %v",
				len(data), len(pieces), want, from, len(got), len(expect), bytes.HasPrefix(expect, got))
		}
	}
}

func TestGatherStopsAtUnreadable(t *testing.T) {
	u := newUnit(t, unitProgUnitGather, 512)
	m := newMemory(t)
	ctx := unitGatherCtx{Base: m.hole(), Iovecs: 2, Want: 100}
	run(t, u, &ctx)
	if ctx.Got != 0 {
		t.Errorf("got %d bytes through an iovec array that cannot be read", ctx.Got)
	}
	// The second iovec names 8 bytes of which the last is not readable.
	edge := m.room[memoryLen-7 : memoryLen : memoryLen]
	array := m.iovecs([]byte("GET "), edge)
	second := m.room[array-addressOf(m.room)+16:]
	copy(second, uint64Bytes(m.hole()-7))
	copy(second[8:], uint64Bytes(8))
	ctx = unitGatherCtx{Base: array, Iovecs: 2, Want: 100}
	run(t, u, &ctx)
	if got := string(u.copied(t, ctx.Got)); got != "GET " {
		t.Errorf("got %q, want what came before the unreadable iovec", got)
	}
}

// A piece is read the same through every kind of call.
func TestPieceRead(t *testing.T) {
	u := newUnit(t, unitProgUnitPieceRead, 512)
	m := newMemory(t)
	text := []byte("GET /" + strings.Repeat("abcdefghij", 80) + " HTTP/1.1\r\n\r\n")
	r := rand.New(rand.NewPCG(3, 4))
	for _, length := range []int{1, 7, 8, 16, 100, 511, 512, 513, len(text)} {
		for _, want := range []int{1, 16, 64, 512} {
			for _, iovecs := range []int{0, 1, 2, 3, 7, maxIovecs, maxIovecs + 1} {
				for _, kind := range kindsOf(iovecs) {
					m.reset()
					data := text[:length]
					ctx := unitCallCtx{Kind: uint8(kind), Len: uint32(length), Want: uint64(want)}
					expect := data
					if iovecs == 0 {
						ctx.Arg1 = m.put(data)
					} else {
						pieces := split(r, data, iovecs)
						expect = reach(pieces)
						setIovecs(m, &ctx, pieces)
					}
					expect = expect[:min(want, len(expect))]
					u.setConn(t, unitConn{})
					run(t, u, &ctx)
					if got := u.copied(t, ctx.Got); !bytes.Equal(got, expect) {
						t.Fatalf("kind %d, %d iovecs, %d of %d bytes: got %d bytes, want %d",
							kind, iovecs, want, length, len(got), len(expect))
					}
				}
			}
		}
	}
}

// kindsOf are the kinds of call that can name that many iovecs; 0: a flat buffer.
func kindsOf(iovecs int) []unitCallKind {
	if iovecs == 0 {
		return []unitCallKind{unitCallKindCALL_BUF}
	}
	return []unitCallKind{unitCallKindCALL_IOV, unitCallKindCALL_MSG, unitCallKindCALL_MMSG}
}

func setIovecs(m *memory, ctx *unitCallCtx, pieces [][]byte) {
	switch unitCallKind(ctx.Kind) {
	case unitCallKindCALL_IOV:
		ctx.Arg1, ctx.Arg2 = m.iovecs(pieces...), uint64(len(pieces))
	case unitCallKindCALL_MSG:
		ctx.Arg1 = m.put(m.header(pieces...))
	default: // the only message of a sendmmsg
		ctx.Arg1, ctx.Arg2 = m.put(append(m.header(pieces...), make([]byte, 8)...)), 1
	}
}

// The kernel tells of the messages of one sendmmsg one by one.
func TestPieceReadMessages(t *testing.T) {
	u := newUnit(t, unitProgUnitPieceRead, 512)
	m := newMemory(t)
	u.setConn(t, unitConn{})
	messages := []string{"POST /a HTTP/1.1\r\n", "Content-Length: 3\r\n\r\n", "abc"}
	for call := range 3 { // the same array again must start at its first message
		array := m.headers(0, messages...)
		for i, text := range messages {
			m.setLength(array, i-1, messages)
			ctx := unitCallCtx{Kind: uint8(unitCallKindCALL_MMSG), Arg1: array, Arg2: 3, Len: uint32(len(text)), Want: 512}
			run(t, u, &ctx)
			if got := string(u.copied(t, ctx.Got)); got != text {
				t.Errorf("call %d, message %d: got %q, want %q", call, i, got, text)
			}
		}
	}
	// Interrupted after the first message; the next call uses the same array.
	array := m.headers(0, "first", "never sent")
	for call := range 2 {
		ctx := unitCallCtx{Kind: uint8(unitCallKindCALL_MMSG), Arg1: array, Arg2: 2, Len: 5, Want: 512}
		run(t, u, &ctx)
		if got := string(u.copied(t, ctx.Got)); got != "first" {
			t.Errorf("interrupted call %d: got %q, want the first message", call, got)
		}
	}
}

func (m *memory) setLength(array uint64, message int, texts []string) {
	if message >= 0 {
		at := array - addressOf(m.room) + uint64(message)*64 + 56
		copy(m.room[at:], uint64Bytes(uint64(len(texts[message]))))
	}
}

func TestPieceWithoutBufferIsCounted(t *testing.T) {
	u := newUnit(t, unitProgUnitPieceRead, 512)
	m := newMemory(t)
	buffer := m.put([]byte("GET / HTTP/1.1"))
	tests := []struct {
		name string
		ctx  unitCallCtx
		want unitProbeCount
	}{
		{"sendfile", unitCallCtx{Kind: uint8(unitCallKindCALL_FILE), Arg1: buffer}, unitProbeCountPROBE_DROP_NO_BUFFER},
		{"another call", unitCallCtx{Kind: uint8(unitCallKindCALL_OTHER), Arg1: buffer}, unitProbeCountPROBE_DROP_NO_BUFFER},
		{"io_uring", unitCallCtx{Kind: uint8(unitCallKindCALL_URING), Arg1: buffer}, unitProbeCountPROBE_DROP_IO_URING},
		{"buffer", unitCallCtx{Kind: uint8(unitCallKindCALL_BUF), Arg1: m.hole()}, unitProbeCountPROBE_DROP_UNREADABLE},
		{"iovec array", unitCallCtx{Kind: uint8(unitCallKindCALL_IOV), Arg1: m.hole(), Arg2: 1}, unitProbeCountPROBE_DROP_UNREADABLE},
		{"message", unitCallCtx{Kind: uint8(unitCallKindCALL_MSG), Arg1: m.hole()}, unitProbeCountPROBE_DROP_UNREADABLE},
		{"too many iovecs", unitCallCtx{Kind: uint8(unitCallKindCALL_IOV), Arg1: m.iovecs(spread(maxIovecs + 1)...), Arg2: uint64(maxIovecs) + 1}, unitProbeCountPROBE_DROP_IOVECS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := u.counter(t, tt.want)
			tt.ctx.Len, tt.ctx.Want = uint32(maxIovecs)+1, 512
			run(t, u, &tt.ctx)
			if after := u.counter(t, tt.want); after != before+1 {
				t.Errorf("counter went from %d to %d, want one more", before, after)
			}
			if tt.ctx.Got > uint64(maxIovecs) {
				t.Errorf("got %d bytes from nowhere", tt.ctx.Got)
			}
		})
	}
}

// The tail is always the last eight bytes of the stream, whatever the sizes of
// the pieces; how many of them are valid grows from what was seen.
func TestTailSlide(t *testing.T) {
	u := newUnit(t, unitProgUnitTailSlide, 512)
	m := newMemory(t)
	r := rand.New(rand.NewPCG(5, 6))
	for stream := range 30 {
		u.setConn(t, unitConn{})
		var sent []byte
		for piece := range 12 {
			m.reset()
			data := make([]byte, 1+r.IntN([]int{3, 12, 900}[stream%3]))
			for i := range data {
				data[i] = byte(r.Uint32())
			}
			ctx := unitCallCtx{Len: uint32(len(data))}
			if iovecs := r.IntN(5); iovecs == 0 {
				ctx.Kind, ctx.Arg1 = uint8(unitCallKindCALL_BUF), m.put(data)
			} else {
				ctx.Kind = uint8(unitCallKindCALL_IOV)
				setIovecs(m, &ctx, split(r, data, iovecs))
			}
			run(t, u, &ctx)
			sent = append(sent, data...)
			want := sent[len(sent)-min(len(sent), 8):]
			c := u.conn(t)
			if got := c.Tail[8-min(c.TailLen, 8):]; !bytes.Equal(got, want) {
				t.Fatalf("stream %d, piece %d of %d bytes: tail %q, want %q", stream, piece, len(data), got, want)
			}
		}
	}
}

// What cannot be read must not leave an old tail standing as the new one.
func TestTailSlideForgets(t *testing.T) {
	u := newUnit(t, unitProgUnitTailSlide, 512)
	m := newMemory(t)
	for name, ctx := range map[string]unitCallCtx{
		"sendfile":        {Kind: uint8(unitCallKindCALL_FILE), Len: 100},
		"io_uring":        {Kind: uint8(unitCallKindCALL_URING), Len: 100},
		"unreadable":      {Kind: uint8(unitCallKindCALL_BUF), Arg1: m.hole(), Len: 100},
		"too many iovecs": {Kind: uint8(unitCallKindCALL_IOV), Arg1: m.iovecs(spread(maxIovecs + 8)...), Arg2: uint64(maxIovecs) + 8, Len: uint32(maxIovecs) + 8},
	} {
		t.Run(name, func(t *testing.T) {
			u.setConn(t, unitConn{TailLen: 8, Tail: [8]uint8([]byte("x\r\n0\r\n\r\n"))})
			run(t, u, &ctx)
			if c := u.conn(t); c.TailLen != 0 {
				t.Errorf("tail %q of length %d, want none", c.Tail, c.TailLen)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"fmt"
	"testing"
)

// Offsets are 64 bits wide, their low half is the kernel's sequence number.
func TestAdvance(t *testing.T) {
	u := newUnit(t, unitProgUnitAdvance, 512)
	const base = 1 << 32
	recv, send := uint8(unitDirectionDIR_RECV), uint8(unitDirectionDIR_SEND)
	tests := []struct {
		name         string
		ctx          unitAdvanceCtx
		rx, tx, from uint64
	}{
		{"first read", unitAdvanceCtx{CopiedSeq: 1100, WriteSeq: 7, Len: 100, Dir: recv}, base + 1100, 0, base + 1000},
		{"first write", unitAdvanceCtx{CopiedSeq: 7, WriteSeq: 1100, Len: 100, Dir: send}, 0, base + 1100, base + 1000},
		{"next read", unitAdvanceCtx{RxOff: base + 1000, CopiedSeq: 1100, Len: 100, Dir: recv}, base + 1100, 0, base + 1000},
		{"other direction untouched", unitAdvanceCtx{RxOff: base + 5, TxOff: base + 1000, WriteSeq: 1100, Len: 100, Dir: send}, base + 5, base + 1100, base + 1000},
		{"first read across the wrap", unitAdvanceCtx{CopiedSeq: 5, Len: 32, Dir: recv}, base + 5, 0, base + 5 - 32},
		{"read ends at the wrap", unitAdvanceCtx{RxOff: 2*base - 32, CopiedSeq: 0, Len: 32, Dir: recv}, 2 * base, 0, 2*base - 32},
		{"read across the wrap", unitAdvanceCtx{RxOff: 2*base - 32, CopiedSeq: 68, Len: 100, Dir: recv}, 2*base + 68, 0, 2*base - 32},
		{"write across the wrap", unitAdvanceCtx{TxOff: 5*base - 1, WriteSeq: 0, Len: 1, Dir: send}, 0, 5 * base, 5*base - 1},
		{"bytes spliced before", unitAdvanceCtx{RxOff: base + 1000, CopiedSeq: 6100, Len: 100, Dir: recv}, base + 6100, 0, base + 6000},
		{"spliced across the wrap", unitAdvanceCtx{RxOff: 2*base - 1000, CopiedSeq: 9000, Len: 100, Dir: recv}, 2*base + 9000, 0, 2*base + 8900},
		{"the end was read", unitAdvanceCtx{RxOff: base + 1000, CopiedSeq: 1101, RcvNxt: 1101, Done: 1, Len: 100, Dir: recv}, base + 1100, 0, base + 1000},
		{"the end is not read yet", unitAdvanceCtx{RxOff: base + 1000, CopiedSeq: 1100, RcvNxt: 1151, Done: 1, Len: 100, Dir: recv}, base + 1100, 0, base + 1000},
		{"told late", unitAdvanceCtx{RxOff: base + 1100, CopiedSeq: 1100, Len: 100, Dir: recv}, base + 1100, 0, base + 1000},
		{"largest move", unitAdvanceCtx{RxOff: base + 10, CopiedSeq: 9, Len: 1<<32 - 1, Dir: recv}, 2*base + 9, 0, base + 10},

		{"counted: first", unitAdvanceCtx{Family: uint8(unitConnFamilyCONN_COUNTED), CopiedSeq: 99, Len: 100, Dir: recv}, 100, 0, 0},
		{"counted: next", unitAdvanceCtx{Family: uint8(unitConnFamilyCONN_COUNTED), RxOff: 100, CopiedSeq: 99, Len: 50, Dir: recv}, 150, 0, 100},
		{"counted: past 32 bits", unitAdvanceCtx{Family: uint8(unitConnFamilyCONN_COUNTED), TxOff: base - 1, Len: 50, Dir: send}, 0, base + 49, base - 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := tt.ctx
			run(t, u, &ctx)
			if ctx.RxOff != tt.rx || ctx.TxOff != tt.tx || ctx.PieceOff != tt.from {
				t.Errorf("rx %#x, tx %#x, piece at %#x; want %#x, %#x, %#x", ctx.RxOff, ctx.TxOff, ctx.PieceOff, tt.rx, tt.tx, tt.from)
			}
		})
	}
}

// A stream longer than the sequence space: every piece begins where the one
// before ended.
func TestAdvanceLongStream(t *testing.T) {
	u := newUnit(t, unitProgUnitAdvance, 512)
	for _, start := range []uint32{0, 1, 1 << 31, 1<<32 - 1} {
		t.Run(fmt.Sprintf("from %#x", start), func(t *testing.T) {
			seq, off, next := start, uint64(0), uint64(0)
			for i, length := range []uint32{1, 64, 1 << 20, 1 << 31, 1 << 31, 1<<32 - 2, 3, 1 << 30, 1 << 31, 512} {
				seq += length
				ctx := unitAdvanceCtx{RxOff: off, CopiedSeq: seq, Len: length, Dir: uint8(unitDirectionDIR_RECV)}
				run(t, u, &ctx)
				if i > 0 && ctx.PieceOff != next {
					t.Errorf("piece %d of %d bytes begins at %#x, want %#x", i, length, ctx.PieceOff, next)
				}
				if uint32(ctx.RxOff) != seq {
					t.Errorf("piece %d: offset %#x does not carry sequence number %#x", i, ctx.RxOff, seq)
				}
				off, next = ctx.RxOff, ctx.RxOff
			}
		})
	}
}

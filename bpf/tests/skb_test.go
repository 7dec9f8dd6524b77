// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"bytes"
	"testing"

	"probe/internal/testutil"
)

// Where the bytes of an skb are: in its linear part, or in the page of its first
// fragment, and nowhere if they are in more than one place.
func TestBytesOfSkb(t *testing.T) {
	testutil.RequireBPF(t, "6.9", "struct skb_frag")
	u := newUnit(t, unitProgUnitSkb, 512)
	const (
		nowhere = 0
		linear  = 1
		page    = 0xffffea0000012340
		base    = 0x5088000000000
	)
	// What follows is a product that overruns, as it does in the kernel.
	at := uint64(page)
	inPage := at*64 + base
	tests := []struct {
		name string
		ctx  unitSkbCtx
		want uint64
	}{
		{"linear", unitSkbCtx{Len: 100, N: 100}, linear},
		{"linear, more of it", unitSkbCtx{Len: 200, N: 100}, linear},
		{"linear, and a fragment behind it", unitSkbCtx{Len: 200, DataLen: 100, N: 100, NrFrags: 1, FragLen: 100, Netmem: page}, linear},
		{"in both", unitSkbCtx{Len: 200, DataLen: 100, N: 101, NrFrags: 1, FragLen: 100, Netmem: page}, nowhere},
		{"fragment", unitSkbCtx{Len: 100, DataLen: 100, N: 100, NrFrags: 1, FragLen: 100, Netmem: page}, inPage},
		{"fragment, within the page", unitSkbCtx{Len: 100, DataLen: 100, N: 7, NrFrags: 1, FragLen: 100, FragOffset: 5000, Netmem: page}, inPage + 5000},
		{"first of two fragments", unitSkbCtx{Len: 300, DataLen: 300, N: 100, NrFrags: 2, FragLen: 100, Netmem: page}, inPage},
		{"two fragments", unitSkbCtx{Len: 300, DataLen: 300, N: 101, NrFrags: 2, FragLen: 100, Netmem: page}, nowhere},
		{"no fragment", unitSkbCtx{Len: 100, DataLen: 100, N: 100, FragLen: 100, Netmem: page}, nowhere},
		{"fragment that is no page", unitSkbCtx{Len: 100, DataLen: 100, N: 100, NrFrags: 1, FragLen: 100, Netmem: page + 1}, nowhere},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ctx := tt.ctx
			ctx.PagesAt = base
			run(t, u, &ctx)
			want := tt.want
			if want == linear {
				want = ctx.Data
			}
			if ctx.At != want {
				t.Errorf("%d bytes at %#x, want %#x", ctx.N, ctx.At, want)
			}
		})
	}
}

func TestCopyWords(t *testing.T) {
	testutil.RequireBPF(t, "6.9", "struct skb_frag")
	u := newUnit(t, unitProgUnitWords, 512)
	var tcp unitUnitTcp
	for i := range tcp.Memory {
		tcp.Memory[i] = byte(i*7 + i>>8)
	}
	if err := u.objects.Maps["unit_tcps"].Put(uint32(0), tcp); err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint32{1, 8, 63, 64, 65, 127, 128, 300, 511, 512} {
		for known := range uint32(2) {
			if err := u.objects.Maps["unit_bytes"].Put(uint32(0), unitUnitBytes{}); err != nil {
				t.Fatal(err)
			}
			ctx := unitWordsCtx{N: n, Known: known}
			run(t, u, &ctx)
			got := u.copied(t, 512+64)
			if !bytes.Equal(got[:n], tcp.Memory[:n]) {
				t.Errorf("%d bytes, of memory known to the verifier %d: %x, want %x", n, known, got[:n], tcp.Memory[:n])
			}
			if rest := got[(n+63)/64*64:]; len(bytes.Trim(rest, "\x00")) > 0 {
				t.Errorf("%d bytes, of memory known to the verifier %d: wrote %x behind them", n, known, rest)
			}
		}
	}
}

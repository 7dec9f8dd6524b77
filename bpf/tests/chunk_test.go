// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"encoding/binary"
	"testing"
)

func TestWholeChunk(t *testing.T) {
	u := newUnit(t, unitProgUnitClassify, 512)
	tests := []struct {
		name, begins string
		len          uint64
		want         bool
	}{
		{"one digit", "5\r\nhello\r\n", 10, true},
		{"letters", "aB\r\nxxxxxxxxxxxx", 4 + 0xab + 2, true},
		{"leading zeros", "00000005\r\nhello\r", 17, true},
		{"the largest", "7fffffff\r\nxxxxxx", 0x7fffffff + 12, true},
		{"more follows", "5\r\nhello\r\n0\r\n\r\n", 15, false},
		{"the last", "0\r\n\r\n", 5, false},
		{"... with zeros", "000\r\n\r\n", 7, false},
		{"shorter than it says", "6\r\nhello\r\n", 10, false},
		{"no size", "\r\nhello\r\n", 9, false},
		{"no line end", "5\rhello\r\n", 10, false},
		{"an extension", "5;a=b\r\nhello\r\n", 14, false},
		{"no hex digit", "g\r\nhello", 8, false},
		{"below the digits", "/\r\nhello", 8, false},
		{"above the digits", ":\r\nhello", 8, false},
		{"too many digits", "000000005\r\nhello", 18, false},
		{"digits only", "5555555555555555", 16, false},
		{"one byte of one", "5", 1, false},
		{"a response", "HTTP/1.1 200 OK\r", 100, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, leftover := range leftovers {
				first := []byte(leftover)
				copy(first, tt.begins)
				ctx := unitClassifyCtx{Low: binary.LittleEndian.Uint64(first), High: binary.LittleEndian.Uint64(first[8:]), Len: tt.len}
				run(t, u, &ctx)
				if got := ctx.Chunk != 0; got != tt.want {
					t.Errorf("%q, %d bytes, over %q: %v, want %v", tt.begins, tt.len, leftover, got, tt.want)
				}
			}
		})
	}
}

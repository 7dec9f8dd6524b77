// SPDX-License-Identifier: Apache-2.0

package http1

import (
	"errors"
	"strings"
	"testing"
)

// feedAll feeds s in pieces of n bytes and returns the bytes consumed.
func feedAll(c *Chunked, s string, n int) (consumed int, done bool, err error) {
	for len(s) > 0 && !done && err == nil {
		var k int
		k, done, err = c.Feed([]byte(s[:min(n, len(s))]))
		consumed += k
		if k < min(n, len(s)) && !done && err == nil {
			return consumed, false, errors.New("consumed too little")
		}
		s = s[k:]
	}
	return consumed, done, err
}

func TestChunked(t *testing.T) {
	tests := []struct {
		name, in string
		rest     int // bytes after the body
		data     int64
		done     bool
		err      error
	}{
		{"empty body", "0\r\n\r\n", 0, 0, true, nil},
		{"two chunks", "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nHTTP/1.1", 8, 6, true, nil},
		{"hex sizes", "A\r\n0123456789\r\n0c\r\n0123456789ab\r\n000\r\n\r\n", 0, 22, true, nil},
		{"extension", "1;a=b;c=\"d \xe9\"\r\nx\r\n0;end\r\n\r\n", 0, 1, true, nil},
		{"space after the size", "1 \t\r\nx\r\n0 ;x\r\n\r\n", 0, 1, true, nil},
		{"trailer", "0\r\nA: b\r\nC: d\r\n\r\nrest", 4, 0, true, nil},
		{"bare LF", "1\nx\n0\nA: b\n\nrest", 4, 1, true, nil},
		{"data that looks like an end", "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", 0, 7, true, nil},
		{"unfinished", "5\r\nhel", 0, 3, false, nil},
		{"empty line", "\r\n", 2, 0, false, ErrChunkSyntax},
		{"no size", ";a\r\n", 4, 0, false, ErrChunkSyntax},
		{"not hex", "5g\r\n", 3, 0, false, ErrChunkSyntax},
		{"leading space", " 5\r\n", 4, 0, false, ErrChunkSyntax},
		{"space inside", "5 5\r\n", 3, 0, false, ErrChunkSyntax},
		{"CR alone", "5\rx", 1, 0, false, ErrChunkSyntax},
		{"control byte in extension", "5;\x00", 1, 0, false, ErrChunkSyntax},
		{"data too long", "1\r\nxy", 1, 1, false, ErrChunkSyntax},
		{"CR alone after data", "1\r\nx\ry", 1, 1, false, ErrChunkSyntax},
		{"CR alone at the end", "0\r\n\rx", 1, 0, false, ErrChunkSyntax},
		{"size overflows", "8000000000000000\r\n", 3, 0, false, ErrChunkSyntax},
		{"long extension", "1;" + strings.Repeat("x", maxSizeLine), 2, 0, false, ErrChunkTooLong},
		{"long trailer", "0\r\n" + strings.Repeat("A: b\r\n", maxTrailer), 6*maxTrailer - maxTrailer, 0, false, ErrChunkTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, n := range []int{1, 2, 3, 7, len(tt.in)} {
				var c Chunked
				consumed, done, err := feedAll(&c, tt.in, n)
				if consumed != len(tt.in)-tt.rest || done != tt.done || !errors.Is(err, tt.err) || c.Data() != tt.data {
					t.Errorf("pieces of %d: consumed %d of %d, done %v, data %d, error %v", n, consumed, len(tt.in), done, c.Data(), err)
				}
				k, again, err := c.Feed([]byte("0\r\n\r\n"))
				if (tt.done || tt.err != nil) && (k != 0 || again != tt.done || !errors.Is(err, tt.err)) {
					t.Errorf("after the end: %d %v %v", k, again, err)
				}
			}
		})
	}
}

func TestChunkedSkip(t *testing.T) {
	tests := []struct {
		name, before string
		n            int64
		ok           bool
		after        string
		done         bool
		err          error
	}{
		{"inside data", "5\r\nhe", 2, true, "o\r\n0\r\n\r\n", true, nil},
		{"to the end of data", "5\r\nhe", 3, true, "\r\n0\r\n\r\n", true, nil},
		{"a large chunk", "7fffffffffffffff\r\n", 1<<63 - 1, true, "\r\n0\r\n\r\n", true, nil},
		{"nothing, anywhere", "5", 0, true, "\r\nhello\r\n0\r\n\r\n", true, nil},
		{"beyond data", "5\r\nhe", 4, false, "0\r\n\r\n", false, ErrChunkLost},
		{"negative", "5\r\nhe", -1, false, "llo", false, ErrChunkLost},
		{"in a size", "5", 1, false, "\n", false, ErrChunkLost},
		{"in a trailer", "0\r\nA", 1, false, "\r\n\r\n", false, ErrChunkLost},
		{"after the body", "0\r\n\r\n", 1, false, "", false, ErrChunkLost},
		{"after an error", "x", 1, false, "0\r\n\r\n", false, ErrChunkSyntax},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c Chunked
			c.Feed([]byte(tt.before))
			if ok := c.Skip(tt.n); ok != tt.ok {
				t.Errorf("Skip: %v", ok)
			}
			if ok := c.Skip(0); ok != tt.ok {
				t.Errorf("Skip(0) afterwards: %v", ok)
			}
			if _, done, err := c.Feed([]byte(tt.after)); done != tt.done || !errors.Is(err, tt.err) {
				t.Errorf("Feed: %v %v", done, err)
			}
		})
	}
}

func TestChunkedDataDoesNotWrap(t *testing.T) {
	var c Chunked
	for range 3 {
		c.Feed([]byte("7fffffffffffffff\r\n"))
		if !c.Skip(1<<63 - 1) {
			t.Fatal("Skip refused")
		}
		c.Feed([]byte("\r\n"))
	}
	if c.Data() != 1<<63-1 {
		t.Errorf("data %d", c.Data())
	}
}

func TestEndsChunked(t *testing.T) {
	for in, want := range map[string]bool{
		"0\r\n\r\n":         true,
		"000\r\n\r\n":       true,
		"\r\n0\r\n\r\n":     true,
		"x\r\n0\r\n\r\n":    true,
		"x\n00\r\n\r\n":     true,
		"10\r\n\r\n":        false,
		"\r\n10\r\n\r\n":    false,
		"\r\n0\r\nA\r\n":    false,
		"\r\n0\r\n\r\nx":    false,
		"x0\r\n\r\n":        false,
		"\r\n\r\n":          false,
		"":                  false,
		"0\r\n":             false,
		"\r\n0\r\n\r\n\r\n": false,

		"\n0;a\r\n\r\n":                    true,
		"\r\n0 ;a=\"b\"\r\n\r\n":           true,
		"0\r\nX: 1\r\n\r\n":                true,
		"x\r\n0;a\r\nX: 1\r\nY-Z:\r\n\r\n": true,
		"margin:0;\r\n\r\n":                false,
		"0;a\r\n\r\n":                      false, // "10;a"?
		"\n0 a\r\n\r\n":                    false,
		"0\r\n1000,a\r\n\r\n":              false,
		"0\r\n: 1\r\n\r\n":                 false,
		"X: 1\r\n\r\n":                     false,
		"0\nX: 1\r\n\r\n":                  false,
	} {
		if got := EndsChunked([]byte(in)); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
}

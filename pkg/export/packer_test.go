// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestPackerFillsAndNeverSplits(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		framing Framing
		lines   []string
		want    []string
		tooLong uint64
	}{
		"exactly full":              {Datagram, []string{"aaaa", "bbbbb"}, []string{"aaaa\nbbbbb"}, 0},
		"one byte too many":         {Datagram, []string{"aaaaa", "bbbbb"}, []string{"aaaaa", "bbbbb"}, 0},
		"stream counts the newline": {Stream, []string{"aaaa", "bbbbb"}, []string{"aaaa\n", "bbbbb\n"}, 0},
		"line of a payload":         {Datagram, []string{"a", "bbbbbbbbbb", "c"}, []string{"a", "bbbbbbbbbb", "c"}, 0},
		"line too long":             {Datagram, []string{"a", "bbbbbbbbbbb", "c"}, []string{"a", "c"}, 1},
		"too long on a stream":      {Stream, []string{"bbbbbbbbbb", "c"}, []string{"c\n"}, 1},
		"nothing":                   {Datagram, nil, nil, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, atOnce := range []bool{true, false} {
				var got []string
				p := NewPacker(10, tt.framing, func(payload []byte, _ int) { got = append(got, string(payload)) })
				buf := p.Buffer()
				for _, line := range tt.lines {
					buf = append(append(buf, line...), '\n')
					if !atOnce {
						p.Commit(buf)
						buf = p.Buffer()
					}
				}
				p.Commit(buf)
				p.Flush()
				if diff := cmp.Diff(tt.want, got); diff != "" || p.TooLong() != tt.tooLong {
					t.Errorf("at once %v, too long %d: %s", atOnce, p.TooLong(), diff)
				}
			}
		})
	}
}

func TestPackerKeepsPairsTogether(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		max := rapid.IntRange(8, 60).Draw(t, "max")
		framing := rapid.SampledFrom([]Framing{Datagram, Stream}).Draw(t, "framing")
		var got, want []string
		var lost uint64
		lines := 0
		p := NewPacker(max, framing, func(payload []byte, n int) {
			if len(payload) > max || len(payload) == 0 {
				t.Fatalf("payload of %d bytes, at most %d", len(payload), max)
			}
			all := strings.Split(strings.TrimSuffix(string(payload), "\n"), "\n")
			if len(all) != n {
				t.Fatalf("%d lines reported for %q", n, payload)
			}
			for i, line := range all {
				if line == "p1" && (i+1 == len(all) || all[i+1] != "p2") {
					t.Fatalf("a pair was split: %q", payload)
				}
			}
			lines += n
			got = append(got, all...)
		})
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "pair") {
				p.AddTogether([]byte("p1\np2\n"))
				want = append(want, "p1", "p2")
				continue
			}
			buf := p.Buffer()
			for range rapid.IntRange(1, 8).Draw(t, "lines") {
				line := bytes.Repeat([]byte{'x'}, rapid.IntRange(1, max+3).Draw(t, "length"))
				buf = append(append(buf, line...), '\n')
				if length := len(line) + int(framing); length > max { // Stream is 1
					lost++
				} else {
					want = append(want, string(line))
				}
			}
			p.Commit(buf)
		}
		p.Flush()
		if diff := cmp.Diff(want, got); diff != "" || p.TooLong() != lost {
			t.Fatalf("too long %d, want %d: %s", p.TooLong(), lost, diff)
		}
	})
}

func TestPairTooLongForAnyPayload(t *testing.T) {
	t.Parallel()
	p := NewPacker(4, Datagram, func(payload []byte, _ int) { t.Errorf("sent %q", payload) })
	p.AddTogether([]byte("p1\np2\n"))
	p.Flush()
	if p.TooLong() != 2 {
		t.Errorf("too long = %d, want 2", p.TooLong())
	}
}

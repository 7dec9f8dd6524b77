// SPDX-License-Identifier: Apache-2.0

package events

import "testing"

func BenchmarkDecode(b *testing.B) {
	for name, raw := range map[string][]byte{
		"first":     encoded(nil),
		"keepalive": encoded(func(r *Record) { r.Has &^= HasConn }),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(raw)))
			var r Record
			for b.Loop() {
				if err := Decode(raw, &r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	raw := encoded(nil)
	var r Record
	n := testing.AllocsPerRun(100, func() {
		if err := Decode(raw, &r); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// SPDX-License-Identifier: Apache-2.0

package events

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzDecode(f *testing.F) {
	full := encoded(nil)
	f.Add(full)
	f.Add(full[:RecordLen])
	f.Add(full[:len(full)-1])
	f.Add(make([]byte, RecordLen))
	f.Add(encoded(func(r *Record) { r.Has, r.Role = HasClose, RoleClient }))
	f.Add(encoded(func(r *Record) { r.Has, r.Tail = HasMore|HasProgress, []byte("\n0\r\n\r\n") }))
	f.Add(patched(3, 9))
	f.Add(patched(4, 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dirty := sample()
		if err := Decode(raw, &dirty); err != nil {
			if d := cmp.Diff(Record{}, dirty); d != "" {
				t.Fatalf("error %v with (-want +got):\n%s", err, d)
			}
			return
		}
		if dirty.Has&HasConn == 0 {
			dirty.Conn = RawConn{} // not valid then
		}
		var again Record
		if err := Decode(dirty.Append(nil), &again); err != nil {
			t.Fatalf("own encoding: %v", err)
		}
		if d := cmp.Diff(dirty, again); d != "" {
			t.Fatalf("decode of encode (-want +got):\n%s", d)
		}
		if n := RecordLen + len(dirty.ReqHead) + len(dirty.RespData); n > len(raw) {
			t.Fatalf("%d bytes out of %d", n, len(raw))
		}
	})
}

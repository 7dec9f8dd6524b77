// SPDX-License-Identifier: Apache-2.0

package events

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample has every field set, to another value each.
func sample() Record {
	return Record{
		Has: HasStart | HasStatus | HasConn | HasFirst, Role: RoleServer, Seq: 7, PID: 4321, TID: 4322,
		ConnID: 3<<48 | 9, StartNS: 1001, ReadNS: 1002, TouchNS: 1003, ReqOff: 1 << 33, ReqEnd: 1<<33 + 27,
		NowNS: 1004, PrevNS: 1005, RespOff: 1 << 34, RespEnd: 1<<34 + 38, Tail: []byte("0\r\n\r\n"),
		ReqHead: []byte("GET /hello HTTP/1.1\r\n\r\n"), RespData: []byte("HTTP/1.1 200 OK\r\n\r\n"),
		Conn: RawConn{
			Inode: 55, Family: FamilyIPv6, LocalPort: 8080, RemotePort: 50000,
			LocalAddr: [16]byte{15: 1}, RemoteAddr: [16]byte{0: 0xfe, 15: 2}, Comm: [16]byte{'n', 'g', 'i', 'n', 'x'}, Cgroup: 5<<32 | 6,
		},
	}
}

// withTimes adds the times, each field with another value.
func withTimes(r *Record) {
	r.Has |= HasTimes
	r.Times = RawTimes{
		UntilNS: 2001, MajorFaults: 2002, MinorFaults: 2003, PushedNS: 2004, PushedPID: 2005, PushedCPU: 2006,
		PushedComm: [16]byte{'b', 'a', 't', 'c', 'h'}, Attribution: AttributionHandoff,
	}
	for i := range r.Times.PartNS {
		r.Times.PartNS[i] = uint64(3000 + i)
	}
}

func encoded(change func(*Record)) []byte {
	r := sample()
	if change != nil {
		change(&r)
	}
	return r.Append(nil)
}

// patched is the sample's encoding with bytes replaced from offset at on.
func patched(at int, b ...byte) []byte {
	raw := encoded(nil)
	copy(raw[at:], b)
	return raw
}

func TestDecodeRoundTrip(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Record)
	}{
		{"everything", nil},
		{"times", withTimes},
		{"times without a connection", func(r *Record) { withTimes(r); r.Has &^= HasConn; r.Conn = RawConn{} }},
		{"on CPU in a loop", func(r *Record) { r.Has |= HasOnCPU | HasLoop }},
		{"no connection", func(r *Record) { r.Has &^= HasConn; r.Conn = RawConn{} }},
		{"no bytes", func(r *Record) { r.ReqHead, r.RespData, r.Tail = []byte{}, []byte{}, []byte{} }},
		{"tail of a chunk", func(r *Record) { r.Tail, r.TailOpen = []byte("1\r\n0\r\n\r\n")[:8], true }},
		{"rough time", func(r *Record) { r.PrevRough = true }},
		{"the smallest", func(r *Record) {
			r.Has, r.Conn = HasProgress, RawConn{}
			r.ReqHead, r.RespData, r.Tail = []byte{}, []byte{}, []byte{}
		}},
		{"full tail", func(r *Record) { r.Tail = []byte("7\r\n0\r\n\r\n")[1:] }},
		{"largest heads", func(r *Record) {
			r.ReqHead, r.RespData = []byte(strings.Repeat("q", MaxHead)), []byte(strings.Repeat("p", MaxHead))
		}},
		{"close", func(r *Record) { r.Has, r.Conn = HasClose, RawConn{} }},
		{"client", func(r *Record) { r.Role = RoleClient }},
		{"unix", func(r *Record) { r.Conn.Family = FamilyUnix }},
		{"IPv4", func(r *Record) { r.Conn.Family = FamilyIPv4 }},
		{"family unknown", func(r *Record) { r.Conn.Family = FamilyUnknown }},
		{"command fills its field", func(r *Record) { copy(r.Conn.Comm[:], "abcdefghijklmnop") }},
		{"largest numbers", func(r *Record) {
			r.Seq, r.PID, r.TID, r.ConnID = ^uint32(0), ^uint32(0), ^uint32(0), ^uint64(0)
			r.ReqOff, r.ReqEnd, r.RespOff, r.RespEnd = ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)
			r.StartNS, r.ReadNS, r.TouchNS, r.NowNS, r.PrevNS = ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := sample()
			if tt.change != nil {
				tt.change(&want)
			}
			var got Record
			if err := Decode(encoded(tt.change), &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("record (-want +got):\n%s", d)
			}
		})
	}
}

// The ring pads records to 8 bytes: what follows the record is not part of it.
func TestDecodeIgnoresWhatFollows(t *testing.T) {
	want := sample()
	var got Record
	if err := Decode(append(encoded(nil), "padding"...), &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("record (-want +got):\n%s", d)
	}
}

func TestDecodeRefuses(t *testing.T) {
	full := encoded(nil)
	tests := []struct {
		name string
		raw  []byte
		want error
	}{
		{"nothing", nil, ErrShort},
		{"one byte less than the fixed part", full[:RecordLen-1], ErrShort},
		{"response cut", full[:RecordLen+3], ErrShort},
		{"request cut", full[:RecordLen+len(sample().RespData)+1], ErrShort},
		{"connection missing", full[:len(full)-ConnLen], ErrShort},
		{"connection cut", full[:len(full)-1], ErrShort},
		{"tail of 9 bytes", patched(3, 9), ErrInvalid},
		{"tail of 255 bytes", patched(3, 255), ErrInvalid},
		{"tail of another kind", patched(20, 2), ErrInvalid},
		{"time of another kind", patched(21, 2), ErrInvalid},
		{"role beyond the last", patched(2, 3), ErrInvalid},
		{"lowest unknown flag", patched(0, 0, byte(hasAll>>8)+1), ErrInvalid},
		{"highest unknown flag", patched(0, 0, 0x80), ErrInvalid},
		{"request head too long", patched(4, 0x01, 0x02), ErrInvalid},
		{"response head too long", patched(6, 0x01, 0x02), ErrInvalid},
		{"response ends before it begins", encoded(func(r *Record) { r.RespEnd = r.RespOff - 1 }), ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := sample() // what an earlier record left behind
			if err := Decode(tt.raw, &got); !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if d := cmp.Diff(Record{}, got); d != "" {
				t.Errorf("not the zero value (-want +got):\n%s", d)
			}
		})
	}
}

// Every length short of the whole is refused, none reads past the end.
func TestDecodeEveryPrefix(t *testing.T) {
	full := encoded(nil)
	for n := range full {
		var r Record
		if err := Decode(full[:n:n], &r); !errors.Is(err, ErrShort) {
			t.Errorf("%d of %d bytes: %v", n, len(full), err)
		}
	}
}

// The layout of bpf/abi.h, by hand: one field, one offset.
func TestDecodeLayout(t *testing.T) {
	raw := make([]byte, RecordLen+2+3+ConnLen)
	le := binary.LittleEndian
	le.PutUint16(raw[0:], uint16(HasStart|HasConn))
	raw[2], raw[3] = 2, 3
	le.PutUint16(raw[4:], 3)
	le.PutUint16(raw[6:], 2)
	le.PutUint32(raw[8:], 11)
	le.PutUint32(raw[12:], 12)
	le.PutUint32(raw[16:], 13)
	le.PutUint32(raw[20:], 0xdead0101) // padding, behind TailOpen and PrevRough
	for i := range 10 {
		le.PutUint64(raw[24+8*i:], uint64(100+i))
	}
	copy(raw[104:], "12345678")
	copy(raw[112:], "rrqqq")
	conn := raw[RecordLen+5:]
	le.PutUint64(conn, 77)
	conn[8] = 10
	le.PutUint16(conn[12:], 80)
	le.PutUint16(conn[14:], 81)
	conn[16], conn[32] = 1, 2
	copy(conn[48:], "comm")
	le.PutUint64(conn[64:], 78)
	want := Record{
		Has: HasStart | HasConn, Role: RoleClient, Seq: 11, PID: 12, TID: 13, ConnID: 100,
		StartNS: 101, ReadNS: 102, TouchNS: 103, ReqOff: 104, ReqEnd: 105, NowNS: 106, PrevNS: 107,
		RespOff: 108, RespEnd: 109, Tail: []byte("678"), TailOpen: true, PrevRough: true,
		RespData: []byte("rr"), ReqHead: []byte("qqq"),
		Conn: RawConn{Inode: 77, Family: FamilyIPv6, LocalPort: 80, RemotePort: 81,
			LocalAddr: [16]byte{1}, RemoteAddr: [16]byte{2}, Comm: [16]byte{'c', 'o', 'm', 'm'}, Cgroup: 78},
	}
	var got Record
	if err := Decode(raw, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("record (-want +got):\n%s", d)
	}
}

func TestConnection(t *testing.T) {
	tests := []struct {
		name, comm, want string
	}{
		{"short", "nginx", "nginx"},
		{"empty", "", ""},
		{"fills the field", "abcdefghijklmnop", "abcdefghijklmnop"},
		{"bytes after the end", "a\x00bc", "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := sample().Conn
			raw.Comm = [16]byte{}
			copy(raw.Comm[:], tt.comm)
			want := &Conn{ID: 9, Inode: 55, Family: FamilyIPv6, Comm: tt.want, Cgroup: 5<<32 | 6,
				Local:  Endpoint{Addr: [16]byte{15: 1}, Port: 8080},
				Remote: Endpoint{Addr: [16]byte{0: 0xfe, 15: 2}, Port: 50000}}
			if d := cmp.Diff(want, raw.Connection(9)); d != "" {
				t.Errorf("connection (-want +got):\n%s", d)
			}
		})
	}
}

// A connection's description must not change with the next record.
func TestConnectionIsACopy(t *testing.T) {
	raw := encoded(nil)
	var r Record
	if err := Decode(raw, &r); err != nil {
		t.Fatal(err)
	}
	got := r.Conn.Connection(1)
	clear(raw)
	if got.Comm != "nginx" || got.Remote.Addr[0] != 0xfe {
		t.Errorf("changed with the record: %+v", got)
	}
}

// One peer has one name: an IPv4 peer of an IPv6 socket is an IPv4 peer.
func TestDecodeMappedAddresses(t *testing.T) {
	mapped := func(last byte) [16]byte { return [16]byte{10: 0xff, 11: 0xff, 12: 10, 15: last} }
	tests := []struct {
		name          string
		family        Family
		local, remote [16]byte
		want          RawConn
	}{
		{"both mapped", FamilyIPv6, mapped(1), mapped(2),
			RawConn{Family: FamilyIPv4, LocalAddr: [16]byte{10, 0, 0, 1}, RemoteAddr: [16]byte{10, 0, 0, 2}}},
		{"one mapped", FamilyIPv6, mapped(1), [16]byte{15: 1},
			RawConn{Family: FamilyIPv6, LocalAddr: mapped(1), RemoteAddr: [16]byte{15: 1}}},
		{"bytes of an IPv4 address", FamilyIPv4, [16]byte{10, 0, 0, 1}, [16]byte{10, 0, 0, 2},
			RawConn{Family: FamilyIPv4, LocalAddr: [16]byte{10, 0, 0, 1}, RemoteAddr: [16]byte{10, 0, 0, 2}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := encoded(func(r *Record) {
				r.Conn = RawConn{Family: tt.family, LocalAddr: tt.local, RemoteAddr: tt.remote}
			})
			var got Record
			if err := Decode(raw, &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got.Conn); d != "" {
				t.Errorf("connection (-want +got):\n%s", d)
			}
		})
	}
}

// A kernel side that knows more than we do: the time is somebody's, not known whose.
func TestDecodeUnknownAttribution(t *testing.T) {
	for in, want := range map[Attribution]Attribution{
		AttributionPartial: AttributionPartial, AttributionPartial + 1: AttributionPartial, 255: AttributionPartial, AttributionLoop: AttributionLoop,
	} {
		var got Record
		if err := Decode(encoded(func(r *Record) { withTimes(r); r.Times.Attribution = in }), &got); err != nil || got.Times.Attribution != want {
			t.Errorf("attribution %d: %v, %v, want %v", in, got.Times.Attribution, err, want)
		}
	}
}

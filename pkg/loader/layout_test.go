// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
)

// The Go mirror of each struct of the contract has the layout that the type
// information of both committed objects says.
func TestLayoutOfObjects(t *testing.T) {
	mirrors := map[string]any{
		"probe_record":   bpfProbeRecord{},
		"probe_conn":     bpfProbeConn{},
		"probe_times":    bpfProbeTimes{},
		"probe_delays":   bpfProbeDelays{},
		"probe_config":   bpfProbeConfig{},
		"probe_sweep":    bpfProbeSweep{},
		"probe_counters": bpfProbeCounters{},
	}
	objects, err := filepath.Glob("*_bpfel.o")
	if err != nil || len(objects) != 2 {
		t.Fatalf("objects %v (%v), want one for each of two architectures", objects, err)
	}
	for _, object := range objects {
		spec, err := ebpf.LoadCollectionSpec(object)
		if err != nil {
			t.Fatal(err)
		}
		for name, mirror := range mirrors {
			t.Run(object+"/"+name, func(t *testing.T) {
				var s *btf.Struct
				if err := spec.Types.TypeByName(name, &s); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(layoutOfStruct(t, s), layoutOfMirror(mirror)); diff != "" {
					t.Errorf("layout (-object +mirror):\n%s", diff)
				}
			})
		}
	}
}

// layoutOfStruct lists "name offset size" of each member and of the whole.
func layoutOfStruct(t *testing.T, s *btf.Struct) []string {
	t.Helper()
	var lines []string
	for _, m := range s.Members {
		size, err := btf.Sizeof(m.Type)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintln(strings.ReplaceAll(m.Name, "_", ""), m.Offset.Bytes(), size))
	}
	return append(lines, fmt.Sprintln("whole", s.Size))
}

func layoutOfMirror(mirror any) []string {
	var lines []string
	typ := reflect.TypeOf(mirror)
	for i := range typ.NumField() {
		if f := typ.Field(i); f.Name != "_" {
			lines = append(lines, fmt.Sprintln(strings.ToLower(f.Name), f.Offset, f.Type.Size()))
		}
	}
	return append(lines, fmt.Sprintln("whole", typ.Size()))
}

// What the kernel side writes into each member is what events.Decode finds.
func TestLayoutOfEvents(t *testing.T) {
	raw := bpfProbeRecord{
		Has: uint16(events.HasStart | events.HasStatus | events.HasConn), Role: 2, TailLen: 5, ReqLen: 3, RespLen: 4,
		Seq: 0x01020304, Tgid: 0x05060708, Tid: 0x090a0b0c, TailOpen: 1, PrevRough: 1, Pad: [2]uint8{0xff, 0xff},
		ConnId: 1 << 60, StartNs: 1<<60 + 1, ReadNs: 1<<60 + 2, TouchNs: 1<<60 + 3,
		ReqOff: 1<<60 + 4, ReqEnd: 1<<60 + 5, NowNs: 1<<60 + 6, PrevNs: 1<<60 + 7, RespOff: 1<<60 + 8, RespEnd: 1<<60 + 9,
		Tail: [8]uint8{1, 2, 3, 4, 5, 6, 7, 8},
	}
	conn := bpfProbeConn{
		Inode: 1 << 50, Family: 10, LocalPort: 0x1234, RemotePort: 0x5678,
		LocalAddr: [16]uint8{1, 15: 2}, RemoteAddr: [16]uint8{3, 15: 4}, Comm: [16]uint8{'a', 'b', 14: 'z'}, Cgroup: 1<<62 + 1,
	}
	encoded := append(appendStruct(t, nil, raw), "HTTPGET"...)
	encoded = appendStruct(t, encoded, conn)

	var got events.Record
	if err := events.Decode(encoded, &got); err != nil {
		t.Fatal(err)
	}
	want := events.Record{
		Has: events.HasStart | events.HasStatus | events.HasConn, Role: events.RoleClient,
		Seq: raw.Seq, PID: raw.Tgid, TID: raw.Tid,
		ConnID: raw.ConnId, StartNS: raw.StartNs, ReadNS: raw.ReadNs, TouchNS: raw.TouchNs,
		ReqOff: raw.ReqOff, ReqEnd: raw.ReqEnd, NowNS: raw.NowNs, PrevNS: raw.PrevNs, PrevRough: true, RespOff: raw.RespOff, RespEnd: raw.RespEnd,
		Tail: []byte{4, 5, 6, 7, 8}, TailOpen: true, ReqHead: []byte("GET"), RespData: []byte("HTTP"),
		Conn: events.RawConn{
			Inode: conn.Inode, Family: events.FamilyIPv6, LocalPort: conn.LocalPort, RemotePort: conn.RemotePort,
			LocalAddr: conn.LocalAddr, RemoteAddr: conn.RemoteAddr, Comm: conn.Comm, Cgroup: conn.Cgroup,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
}

// appendStruct appends s as it lies in memory.
func appendStruct(t *testing.T, dst []byte, s any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := binary.Write(&b, binary.NativeEndian, s); err != nil {
		t.Fatal(err)
	}
	if size := reflect.TypeOf(s).Size(); uintptr(b.Len()) != size {
		t.Fatalf("%T is written in %d bytes and takes %d: it has hidden padding", s, b.Len(), size)
	}
	return append(dst, b.Bytes()...)
}

// Numbers that stand on both sides.
func TestLayoutOfNumbers(t *testing.T) {
	tests := []struct {
		name         string
		kernel, ours uint64
	}{
		{"start", uint64(bpfProbeHasPROBE_HAS_START), uint64(events.HasStart)},
		{"status", uint64(bpfProbeHasPROBE_HAS_STATUS), uint64(events.HasStatus)},
		{"more", uint64(bpfProbeHasPROBE_HAS_MORE), uint64(events.HasMore)},
		{"progress", uint64(bpfProbeHasPROBE_HAS_PROGRESS), uint64(events.HasProgress)},
		{"close", uint64(bpfProbeHasPROBE_HAS_CLOSE), uint64(events.HasClose)},
		{"conn", uint64(bpfProbeHasPROBE_HAS_CONN), uint64(events.HasConn)},
		{"first", uint64(bpfProbeHasPROBE_HAS_FIRST), uint64(events.HasFirst)},
		{"record", uint64(unsafe.Sizeof(bpfProbeRecord{})), events.RecordLen},
		{"connection", uint64(unsafe.Sizeof(bpfProbeConn{})), events.ConnLen},
		{"head", uint64(len(bpfConn{}.Head)), events.MaxHead},
		{"capture", uint64(len(bpfConn{}.Head)), MaxCaptureBytes},
		{"ports", uint64(len(bpfProbeConfig{}.Ports)), MaxPorts},
		{"pids", uint64(len(bpfProbeConfig{}.Pids)), MaxPIDs},
		{"comms", uint64(len(bpfProbeConfig{}.Comms)), MaxComms},
		{"comm", uint64(len(bpfProbeConfig{}.Comms[0])), maxCommLen + 1},
		{"counters", uint64(len(bpfProbeCounters{}.Value)), uint64(len(counterNames))},
	}
	for _, tt := range tests {
		if tt.kernel != tt.ours {
			t.Errorf("%s: %d in the kernel side, %d in ours", tt.name, tt.kernel, tt.ours)
		}
	}
	for i, name := range counterNames {
		if name == "" {
			t.Errorf("counter %d has no name", i)
		}
	}
}

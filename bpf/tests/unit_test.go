// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"encoding/binary"
	"errors"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"probe/internal/testutil"
)

func TestMain(m *testing.M) { testutil.Main(m) }

// unit is a loaded program of unit.bpf.c and its maps.
type unit struct {
	program string
	objects *ebpf.Collection
}

// newUnit loads one unit program, with capture bytes kept of each head.
func newUnit(t *testing.T, program string, capture uint32) *unit {
	t.Helper()
	testutil.RequireBPF(t, "5.14", "syscall programs")
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	spec, err := unitSpec(program, capture)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := ebpf.NewCollection(spec)
	if err != nil {
		var ve *ebpf.VerifierError
		if errors.As(err, &ve) {
			t.Fatalf("load: %+v", ve)
		}
		t.Fatal(err)
	}
	t.Cleanup(objects.Close)
	return &unit{program: program, objects: objects}
}

// unitSpec leaves out what the include brought along and the program does not use.
func unitSpec(program string, capture uint32) (*ebpf.CollectionSpec, error) {
	spec, err := loadUnit()
	if err != nil {
		return nil, err
	}
	spec.Programs = map[string]*ebpf.ProgramSpec{program: spec.Programs[program]}
	delete(spec.Maps, "http_conns")
	delete(spec.Maps, "http_conn_table")
	delete(spec.Maps, "http_empty")
	spec.Maps["http_events"].MaxEntries = 1 << 16
	cfg := unitProbeConfig{CaptureBytes: capture, WantServer: 1, WantClient: 1}
	return spec, spec.Variables["cfg"].Set(cfg)
}

// run runs the program with *ctx as its context, and puts the context back.
func run[T any](t *testing.T, u *unit, ctx *T) {
	t.Helper()
	result, err := u.objects.Programs[u.program].Run(&ebpf.RunOptions{Context: *ctx, ContextOut: ctx})
	if err != nil {
		t.Fatalf("run %s: %v", u.program, err)
	}
	if result != 0 {
		t.Fatalf("%s returned %d, its setup failed", u.program, result)
	}
}

// conn and setConn are the connection that the programs work on.
func (u *unit) conn(t *testing.T) unitConn {
	t.Helper()
	var c unitConn
	if err := u.objects.Maps["unit_conns"].Lookup(uint32(0), &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (u *unit) setConn(t *testing.T, c unitConn) {
	t.Helper()
	if err := u.objects.Maps["unit_conns"].Put(uint32(0), c); err != nil {
		t.Fatal(err)
	}
}

// copied returns the first n bytes that a program has copied out.
func (u *unit) copied(t *testing.T, n uint64) []byte {
	t.Helper()
	var b unitUnitBytes
	if err := u.objects.Maps["unit_bytes"].Lookup(uint32(0), &b); err != nil {
		t.Fatal(err)
	}
	if n > uint64(len(b.Data)) {
		t.Fatalf("a program says it copied %d bytes", n)
	}
	return b.Data[:n]
}

// counter returns one of the kernel side's counters, summed over CPUs.
func (u *unit) counter(t *testing.T, what unitProbeCount) uint64 {
	t.Helper()
	var perCPU []unitProbeCounters
	if err := u.objects.Maps["http_counters"].Lookup(uint32(0), &perCPU); err != nil {
		t.Fatal(err)
	}
	sum := uint64(0)
	for _, c := range perCPU {
		sum += c.Value[what]
	}
	return sum
}

// memory is user memory at addresses that do not move, as a program sees it.
// The page behind it is not readable.
type memory struct {
	t    *testing.T
	room []byte
	used int
}

const memoryLen = 1 << 18

func newMemory(t *testing.T) *memory {
	t.Helper()
	room, err := unix.Mmap(-1, 0, memoryLen+unix.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Munmap(room); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mprotect(room[memoryLen:], unix.PROT_NONE); err != nil {
		t.Fatal(err)
	}
	return &memory{t: t, room: room}
}

func (m *memory) reset() { m.used = 0 }

// put copies b into the memory and returns its address.
func (m *memory) put(b []byte) uint64 {
	m.t.Helper()
	at := (m.used + 7) &^ 7
	if at+len(b) > memoryLen {
		m.t.Fatal("user memory of the test is full")
	}
	copy(m.room[at:], b)
	m.used = at + len(b)
	return addressOf(m.room) + uint64(at)
}

// hole is an address that cannot be read.
func (m *memory) hole() uint64 { return addressOf(m.room) + memoryLen }

// iovecs puts the pieces and an array of struct iovec that names them.
func (m *memory) iovecs(pieces ...[]byte) uint64 {
	m.t.Helper()
	var array []byte
	for _, p := range pieces {
		array = binary.LittleEndian.AppendUint64(array, m.put(p))
		array = binary.LittleEndian.AppendUint64(array, uint64(len(p)))
	}
	return m.put(array)
}

// header is a struct msghdr of the pieces.
func (m *memory) header(pieces ...[]byte) []byte {
	m.t.Helper()
	h := make([]byte, 56)
	binary.LittleEndian.PutUint64(h[16:], m.iovecs(pieces...))
	binary.LittleEndian.PutUint64(h[24:], uint64(len(pieces)))
	return h
}

// headers is an array of struct mmsghdr, one message per string; the length of
// those before done is filled in, as the kernel does one by one.
func (m *memory) headers(done int, messages ...string) uint64 {
	m.t.Helper()
	var array []byte
	for i, text := range messages {
		array = append(array, m.header([]byte(text))...)
		length := 0
		if i < done {
			length = len(text)
		}
		array = binary.LittleEndian.AppendUint64(array, uint64(length))
	}
	return m.put(array)
}

func addressOf(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

func uint64Bytes(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

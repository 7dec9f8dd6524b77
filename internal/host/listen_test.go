// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"probe/pkg/stats"
)

// listenFull listens on the loopback with a backlog and lets connections wait
// in the queue. Sockets of two families may have the same port.
func listenFull(t *testing.T, family, backlog, waiting int) netip.AddrPort {
	t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	var address unix.Sockaddr = &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if family == unix.AF_INET6 {
		address = &unix.SockaddrInet6{Addr: [16]byte{15: 1}}
	}
	if err := unix.Bind(fd, address); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	var at netip.AddrPort
	switch b := bound.(type) {
	case *unix.SockaddrInet4:
		at = netip.AddrPortFrom(netip.AddrFrom4(b.Addr), uint16(b.Port))
	case *unix.SockaddrInet6:
		at = netip.AddrPortFrom(netip.AddrFrom16(b.Addr), uint16(b.Port))
	}
	for range waiting {
		c, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	return at
}

// ssListening is what ss tells of an address: Recv-Q and Send-Q.
func ssListening(t *testing.T, at netip.AddrPort) (out []stats.ListenSocket) {
	t.Helper()
	text, err := exec.Command("ss", "-H", "-l", "-t", "-n").Output()
	if err != nil {
		t.Fatalf("ss (package iproute2): %v", err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 4 {
			t.Fatalf("line of ss: %q", line)
		}
		if f[3] != at.String() {
			continue
		}
		length, err1 := strconv.ParseUint(f[1], 10, 32)
		limit, err2 := strconv.ParseUint(f[2], 10, 32)
		if err1 != nil || err2 != nil {
			t.Fatalf("line of ss: %q", line)
		}
		out = append(out, stats.ListenSocket{
			Address: at.Addr().String(), Port: at.Port(), Length: uint32(length), Limit: uint32(limit),
		})
	}
	return out
}

// The accept queues are those that ss shows.
func TestListenLikeSS(t *testing.T) {
	sockets := []netip.AddrPort{
		listenFull(t, unix.AF_INET, 8, 5),
		listenFull(t, unix.AF_INET6, 3, 2),
		listenFull(t, unix.AF_INET, 1, 2), // one more than the limit
	}
	state := newReader(t, Options{}).look(t, 0)
	if state.Listen == nil || state.Listen.Counters == nil {
		t.Fatalf("no sockets or counters: %+v", state.Missing)
	}
	for _, at := range sockets {
		var got []stats.ListenSocket
		for _, s := range state.Listen.Sockets {
			if s.Address == at.Addr().String() && s.Port == at.Port() {
				if s.Inode == 0 {
					t.Error("no inode")
				}
				s.Inode = 0
				got = append(got, s)
			}
		}
		if diff := cmp.Diff(ssListening(t, at), got); diff != "" || len(got) != 1 {
			t.Errorf("%s: %d sockets (-ss +got):\n%s", at, len(got), diff)
		}
	}
}

// A full queue loses connections, and the kernel's counters tell it.
func TestListenOverflow(t *testing.T) {
	r := newReader(t, Options{})
	before := r.look(t, 0).Listen.Counters.Total
	at := listenFull(t, unix.AF_INET, 0, 1)
	d := net.Dialer{Timeout: 300e6}
	if c, err := d.Dial("tcp", at.String()); err == nil {
		defer c.Close() // the handshake may end without a place in the queue
	}
	after := r.look(t, 1).Listen.Counters.Total
	if after.Overflows <= before.Overflows || after.Drops <= before.Drops {
		t.Errorf("before %+v, after %+v", before, after)
	}
}

func TestFullest(t *testing.T) {
	t.Parallel()
	in := func() []stats.ListenSocket {
		return []stats.ListenSocket{
			{Port: 3, Address: "::"}, {Port: 2, Length: 1}, {Port: 3, Address: "0.0.0.0", Length: 9}, {Port: 1},
		}
	}
	got, refused := fullest(in(), 2)
	if diff := cmp.Diff([]stats.ListenSocket{{Port: 2, Length: 1}, {Port: 3, Address: "0.0.0.0", Length: 9}}, got); diff != "" || refused != 2 {
		t.Errorf("%d refused (-want +got):\n%s", refused, diff)
	}
	got, refused = fullest(in(), 4)
	want := []stats.ListenSocket{{Port: 1}, {Port: 2, Length: 1}, {Port: 3, Address: "0.0.0.0", Length: 9}, {Port: 3, Address: "::"}}
	if diff := cmp.Diff(want, got); diff != "" || refused != 0 {
		t.Errorf("%d refused (-want +got):\n%s", refused, diff)
	}
}

func TestListenersRefused(t *testing.T) {
	full := listenFull(t, unix.AF_INET, 8, 1)
	listenFull(t, unix.AF_INET, 8, 0)
	r := newReader(t, Options{MaxListeners: 1})
	state := r.look(t, 0)
	if n := len(state.Listen.Sockets); n != 1 || state.Listen.Sockets[0].Length == 0 || state.Listen.Refused == 0 {
		t.Errorf("%d sockets, %+v, full is %s", n, state.Listen, full)
	}
	if got := r.counter("host.listeners_refused"); got != uint64(state.Listen.Refused) {
		t.Errorf("%d refused, counted %d", state.Listen.Refused, got)
	}
}

func diagMessage(family, state byte) []byte {
	b := make([]byte, diagMessageSize)
	b[diagFamily], b[diagState] = family, state
	binary.BigEndian.PutUint16(b[diagSourcePort:], 8080)
	copy(b[diagSource:], []byte{192, 0, 2, 1})
	binary.NativeEndian.PutUint32(b[diagReceiveQueue:], 5)
	binary.NativeEndian.PutUint32(b[diagWindow:], 8)
	binary.NativeEndian.PutUint32(b[diagInode:], 77)
	return b
}

func TestParseDiagMessage(t *testing.T) {
	t.Parallel()
	got, err := parseDiagMessage(diagMessage(unix.AF_INET, tcpListen))
	want := stats.ListenSocket{Address: "192.0.2.1", Port: 8080, Length: 5, Limit: 8, Inode: 77}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	want.Address = "c000:201::"
	got, err = parseDiagMessage(append(diagMessage(unix.AF_INET6, tcpListen), 1, 2, 3, 4))
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for name, msg := range map[string][]byte{
		"empty": nil, "short": diagMessage(unix.AF_INET, tcpListen)[:diagMessageSize-1],
		"established": diagMessage(unix.AF_INET, 1), "family": diagMessage(unix.AF_UNIX, tcpListen),
	} {
		if got, err := parseDiagMessage(msg); err == nil || got != (stats.ListenSocket{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzParseDiagMessage(f *testing.F) {
	f.Add(diagMessage(unix.AF_INET, tcpListen))
	f.Add(diagMessage(unix.AF_INET6, tcpListen))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, msg []byte) {
		got, err := parseDiagMessage(msg)
		if err != nil && got != (stats.ListenSocket{}) {
			t.Errorf("%v with %+v", err, got)
		}
		if err == nil && got.Address == "" {
			t.Errorf("no address: %+v", got)
		}
	})
}

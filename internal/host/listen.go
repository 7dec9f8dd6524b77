// SPDX-License-Identifier: Apache-2.0

package host

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"probe/pkg/stats"
)

// The kernel's socket monitoring, linux/inet_diag.h. The library's own calls
// list sockets of every state, a hundred thousand of them on a busy host; this
// request asks for the listening ones.
const (
	// tcpListen is the state (net/tcp_states.h).
	tcpListen = 10
	// sizes of inet_diag_req_v2 and inet_diag_msg.
	diagRequestSize = 56
	diagMessageSize = 72
	// offsets in inet_diag_msg: id is idiag_sport, idiag_dport, idiag_src.
	diagFamily, diagState        = 0, 1
	diagSourcePort, diagSource   = 4, 8
	diagReceiveQueue, diagWindow = 56, 60
	diagInode                    = 68
)

// diagRequest is an inet_diag_req_v2 for the listening TCP sockets of a family.
type diagRequest struct{ family uint8 }

// Len is part of nl.NetlinkRequestData.
func (diagRequest) Len() int { return diagRequestSize }

// Serialize is part of nl.NetlinkRequestData.
func (r diagRequest) Serialize() []byte {
	b := make([]byte, diagRequestSize)
	b[0], b[1] = r.family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[4:], 1<<tcpListen)
	return b
}

// listen lists the listening sockets of this network namespace and reads its
// counters of lost connections.
func (l *look) listen() {
	var sockets []stats.ListenSocket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		some, err := listeningSockets(family)
		if err != nil {
			l.missing(map[uint8]string{unix.AF_INET: "listen.ipv4", unix.AF_INET6: "listen.ipv6"}[family], err)
			continue
		}
		sockets = append(sockets, some...)
	}
	out := &stats.Listen{}
	out.Sockets, out.Refused = fullest(sockets, l.opt.MaxListeners)
	l.listenersRefused.Add(uint64(out.Refused))
	l.state.Listen = out
	totals, err := l.listenTotals()
	if err != nil {
		l.missing("listen.counters", err)
		return
	}
	out.Counters = &stats.ListenCounters{Total: totals}
}

func listeningSockets(family uint8) ([]stats.ListenSocket, error) {
	for range maxDumps {
		sockets, err := dumpListening(family)
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			return sockets, err
		}
	}
	return nil, errors.New("the list of listening sockets changes faster than it can be read")
}

// ListeningPorts are the TCP ports of this network namespace on which somebody
// listens, in any order and perhaps several times.
func ListeningPorts() ([]uint16, error) {
	v4, err4 := listeningSockets(unix.AF_INET)
	v6, err6 := listeningSockets(unix.AF_INET6)
	if err4 != nil && err6 != nil { // one may not be there
		return nil, err4
	}
	var ports []uint16
	for _, s := range append(v4, v6...) {
		ports = append(ports, s.Port)
	}
	return ports, nil
}

func dumpListening(family uint8) ([]stats.ListenSocket, error) {
	request := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	request.AddData(diagRequest{family})
	var sockets []stats.ListenSocket
	var broken error
	err := request.ExecuteIter(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY, func(msg []byte) bool {
		s, err := parseDiagMessage(msg)
		if err != nil {
			broken = err
			return false
		}
		sockets = append(sockets, s)
		return true
	})
	if err == nil {
		err = broken
	}
	if err != nil {
		return nil, fmt.Errorf("ask the kernel for listening sockets (sock_diag): %w", err)
	}
	return sockets, nil
}

// parseDiagMessage reads an inet_diag_msg; attributes may follow it. Of a
// listening socket idiag_rqueue is the length of the accept queue and
// idiag_wqueue its limit.
func parseDiagMessage(msg []byte) (stats.ListenSocket, error) {
	if len(msg) < diagMessageSize {
		return stats.ListenSocket{}, fmt.Errorf("message of %d bytes, want %d", len(msg), diagMessageSize)
	}
	if msg[diagState] != tcpListen {
		return stats.ListenSocket{}, fmt.Errorf("socket in state %d, want %d", msg[diagState], tcpListen)
	}
	var address netip.Addr
	switch family := msg[diagFamily]; family {
	case unix.AF_INET:
		address = netip.AddrFrom4([4]byte(msg[diagSource:]))
	case unix.AF_INET6:
		address = netip.AddrFrom16([16]byte(msg[diagSource:]))
	default:
		return stats.ListenSocket{}, fmt.Errorf("socket of family %d", family)
	}
	return stats.ListenSocket{
		Address: address.String(),
		Port:    binary.BigEndian.Uint16(msg[diagSourcePort:]),
		Length:  binary.NativeEndian.Uint32(msg[diagReceiveQueue:]),
		Limit:   binary.NativeEndian.Uint32(msg[diagWindow:]),
		Inode:   binary.NativeEndian.Uint32(msg[diagInode:]),
	}, nil
}

// fullest returns at most limit sockets, those with the longest queues, in the
// order of ports, and how many it left out.
func fullest(sockets []stats.ListenSocket, limit int) ([]stats.ListenSocket, int) {
	byPort := func(a, b stats.ListenSocket) int {
		return cmp.Or(cmp.Compare(a.Port, b.Port), strings.Compare(a.Address, b.Address), cmp.Compare(a.Inode, b.Inode))
	}
	refused := max(len(sockets)-limit, 0)
	if refused > 0 {
		slices.SortFunc(sockets, func(a, b stats.ListenSocket) int {
			return cmp.Or(cmp.Compare(b.Length, a.Length), byPort(a, b))
		})
		sockets = sockets[:limit]
	}
	slices.SortFunc(sockets, byPort)
	return sockets, refused
}

// listenTotals reads net/netstat of this process's network namespace, the one
// that listeningSockets sees.
func (l *look) listenTotals() (stats.ListenTotals, error) {
	self, err := l.proc.Self()
	if err != nil {
		return stats.ListenTotals{}, err
	}
	n, err := self.Netstat()
	if err != nil {
		return stats.ListenTotals{}, err
	}
	if n.ListenOverflows == nil || n.ListenDrops == nil {
		return stats.ListenTotals{}, errors.New("netstat has no ListenOverflows or ListenDrops")
	}
	t := stats.ListenTotals{Overflows: uint64(*n.ListenOverflows), Drops: uint64(*n.ListenDrops)}
	if n.TCPReqQFullDrop != nil {
		t.RequestDrops = uint64(*n.TCPReqQFullDrop)
	}
	return t, nil
}

// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// FreePort returns a port of the loopback that nobody uses, for TCP and UDP, for
// a server that is started later or again. It is below those that the kernel
// gives away by itself (ip_local_port_range, 32768 and up unless somebody
// changed it): one of those may be an outgoing connection's by then.
func FreePort(t testing.TB) uint16 {
	t.Helper()
	for range 1000 {
		port := uint16(10_000 + rand.IntN(22_768))
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port)))
		stream, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		datagrams, err := net.ListenPacket("udp", address)
		_ = stream.Close()
		if err != nil {
			continue
		}
		_ = datagrams.Close()
		return port
	}
	t.Fatal("no port is free")
	return 0
}

// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// ErrPublic: the address can be reached from other hosts.
var ErrPublic = errors.New("not a loopback address")

// CheckAddress checks HOST:PORT, where the host is an IP address or localhost.
// ErrPublic says that it is valid and not on the loopback interface.
func CheckAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("address %q: want HOST:PORT", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("address %q: port %q: want 0 to 65535", address, port)
	}
	if host == "localhost" {
		return nil
	}
	if host == "" { // every interface
		return fmt.Errorf("address %q: %w", address, ErrPublic)
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return fmt.Errorf("address %q: host %q: want an IP address or localhost", address, host)
	}
	if !ip.Unmap().IsLoopback() {
		return fmt.Errorf("address %q: %w", address, ErrPublic)
	}
	return nil
}

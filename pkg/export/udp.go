// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"
)

// errUnresolved: the name has no address.
var errUnresolved = errors.New("name not resolved")

// minRefusals is the number of refused packets in one Export after which the
// receiver counts as down. The first may be the answer to a packet sent before
// the receiver came back. Over several Exports in a row it is one more than there
// are addresses, of which one may be the right one.
const minRefusals = 2

// udp sends to a connected socket, because only then the kernel reports that
// the other host refused a packet. It reports it in place of sending the next
// packet, which is then sent again.
//
// A name may have several addresses, of which the receiver listens on one only
// (localhost): IPv4 is tried first, and each refusal moves on to the next.
type udp struct {
	datagrams
	opt      Options
	counters *counters

	// addresses of the host, of which addresses[current] is in use.
	addresses  []netip.AddrPort
	current    int
	resolvedAt time.Duration

	// refusals since an Export without one, before those of the present Export,
	// and the lines of the last packet sent.
	refusals, before int
	lastLines        int
}

func newUDP(opt Options, c *counters) *udp {
	u := &udp{opt: opt, counters: c}
	u.now, u.backoff = opt.Now, opt.newBackoff()
	if ip, err := netip.ParseAddr(opt.Target.Host); err == nil {
		u.addresses = []netip.AddrPort{netip.AddrPortFrom(ip, opt.Target.Port)}
	}
	return u
}

func (u *udp) begin(ctx context.Context) error {
	if err := u.waiting(); err != nil {
		return err
	}
	u.before = u.refusals
	if err := u.resolve(ctx, u.now()); err != nil {
		return u.fail(err)
	}
	if u.conn == nil {
		if err := u.dial(); err != nil {
			return u.fail(err)
		}
	}
	u.arm(ctx)
	return nil
}

// resolve looks the name up when there is no address, after a failure and at
// intervals. While an address is in use a failure is only counted.
func (u *udp) resolve(ctx context.Context, now time.Duration) error {
	if _, err := netip.ParseAddr(u.opt.Target.Host); err == nil {
		return nil
	}
	if u.conn != nil && now-u.resolvedAt < u.opt.ResolveInterval {
		return nil
	}
	found, err := u.opt.lookUp(ctx)
	u.resolvedAt = now
	if err != nil {
		u.counters.errorsUnresolved.Add(1)
		if u.conn != nil {
			return nil
		}
		return fmt.Errorf("%w: %w", errUnresolved, err)
	}
	u.use(found)
	return nil
}

// lookUp returns the addresses of the target's name, at least one.
func (o Options) lookUp(ctx context.Context) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, o.ResolveTimeout)
	defer cancel()
	found, err := o.Resolver.LookupNetIP(ctx, "ip", o.Target.Host)
	if err == nil && len(found) == 0 {
		err = errors.New("no addresses")
	}
	return found, err
}

// use replaces the addresses and drops the connection if its address is gone.
func (u *udp) use(found []netip.Addr) {
	addresses := ordered(found, u.opt.Target.Port)
	var old netip.AddrPort
	if u.current < len(u.addresses) {
		old = u.addresses[u.current]
	}
	u.addresses = addresses
	u.current = slices.Index(addresses, old)
	if u.current < 0 {
		u.current = 0
		u.disconnect()
	}
}

// ordered are the addresses with their port, IPv4 first.
func ordered(found []netip.Addr, port uint16) []netip.AddrPort {
	addresses := make([]netip.AddrPort, 0, len(found))
	for _, ip := range found {
		addresses = append(addresses, netip.AddrPortFrom(ip.Unmap(), port))
	}
	slices.SortStableFunc(addresses, func(a, b netip.AddrPort) int {
		return a.Addr().BitLen() - b.Addr().BitLen()
	})
	return addresses
}

func (u *udp) dial() error {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(u.addresses[u.current]))
	if err != nil {
		u.counters.errorsOther.Add(1)
		return fmt.Errorf("connect: %w", err)
	}
	u.conn, u.lastLines = conn, 0
	return nil
}

func (u *udp) send(ctx context.Context, payload []byte, lines int) error {
	for {
		_, err := u.conn.Write(payload)
		switch {
		case err == nil:
			u.lastLines = lines
			u.counters.sent(payload, lines)
			return nil
		case errors.Is(err, syscall.ECONNREFUSED):
			if err := u.refused(ctx, err); err != nil {
				return err
			}
		case errors.Is(err, syscall.ENOBUFS): // this packet only
			u.counters.errorsNoBuffer.Add(1)
			return fmt.Errorf("send packet: %w", err)
		case errors.Is(err, syscall.EMSGSIZE): // this packet only, for the path
			u.counters.errorsOther.Add(1)
			return fmt.Errorf("send packet: %w", err)
		case errors.Is(err, os.ErrDeadlineExceeded):
			u.counters.errorsNoBuffer.Add(1)
			return fmt.Errorf("send packet: %w: %w", errDown, err)
		default:
			u.counters.errorsOther.Add(1)
			return u.fail(fmt.Errorf("send packet: %w", err))
		}
	}
}

// refused notes that the last packet did not arrive and that this one was not
// sent. It returns nil when this one should be tried again.
func (u *udp) refused(ctx context.Context, err error) error {
	u.counters.errorsRefused.Add(1)
	u.counters.linesRefused.Add(uint64(u.lastLines))
	u.lastLines = 0
	u.refusals++
	u.current = (u.current + 1) % len(u.addresses)
	if u.refusals-u.before >= max(minRefusals, len(u.addresses)) || u.refusals > len(u.addresses) {
		u.refusals = 0 // what is sent next may find the receiver
		return u.fail(fmt.Errorf("send packet: %w", err))
	}
	if len(u.addresses) == 1 {
		return nil // the same socket: reading the error has cleared it
	}
	u.disconnect()
	if err := u.dial(); err != nil {
		return u.fail(err)
	}
	u.arm(ctx)
	return nil
}

func (u *udp) end() error {
	// The last packet may still be refused; the next Export will tell.
	fine := u.refusals == u.before
	if fine {
		u.refusals = 0
	}
	if u.disarm() && fine {
		u.backoff.Reset()
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
)

// Defaults.
const (
	DefaultPrefix = "probe"
	// DefaultMaxPayload fits into one Ethernet frame with IPv6 and UDP headers
	// and some room for tunnels.
	DefaultMaxPayload = 1432
	// maxUDPPayload is the largest an IPv4 datagram can carry.
	maxUDPPayload = 65507
	// streamPayload is the size of one write to a stream.
	streamPayload = 16 << 10
	// DefaultTimeout bounds one Export. At the default pace about 14,000
	// packets leave per second, 200,000 lines of 95 bytes.
	DefaultTimeout = 5 * time.Second
	// DefaultResolveTimeout bounds one look-up of the receiver's name.
	DefaultResolveTimeout = 2 * time.Second
	// DefaultResolveInterval is how often a name is looked up again while all
	// is well, so that a receiver that moved is found.
	DefaultResolveInterval = time.Minute
	// DefaultMinBackoff and DefaultMaxBackoff are the first and the longest
	// wait after a failure. The longest is below the usual flush interval, so
	// that no flush is skipped once the receiver is back.
	DefaultMinBackoff = 500 * time.Millisecond
	DefaultMaxBackoff = 5 * time.Second
	// A receiver's socket buffer is 212,992 bytes by default, and a packet of
	// 1432 bytes takes 2304 of them: 92 packets. DefaultBurstPackets fill a
	// third, and in DefaultBurstPause a receiver reads them.
	DefaultBurstPackets = 32
	DefaultBurstPause   = 2 * time.Millisecond
)

// Resolver looks up addresses; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options of an Exporter. All but Now may be left zero.
type Options struct {
	// Target of the lines. The zero value is standard output.
	Target Target
	// Prefix, Host, Dialect and MaxCached are those of EncoderOptions.
	Prefix    string
	Host      string
	Dialect   Dialect
	MaxCached int
	// MaxPayload is the most bytes of one UDP packet, up to 65507.
	// 0: DefaultMaxPayload.
	MaxPayload int
	// Stdout replaces os.Stdout for the target stdout:. Its Write is not
	// bounded in time.
	Stdout io.Writer
	// Now is a monotonic clock with any origin, for back-off and for looking
	// up the name again. Required for UDP.
	Now func() time.Duration
	// Resolver replaces net.DefaultResolver.
	Resolver Resolver
	// Timeout bounds one Export, ResolveTimeout one look-up, both by the time
	// of the system. 0: the defaults above.
	Timeout, ResolveTimeout time.Duration
	// ResolveInterval, MinBackoff and MaxBackoff. 0: the defaults above. Waits
	// vary by half at random.
	ResolveInterval, MinBackoff, MaxBackoff time.Duration
	// BurstPackets are sent without a pause, then follows BurstPause.
	// 0: the defaults above. Negative: no pauses.
	BurstPackets int
	BurstPause   time.Duration
}

// Validate reports what is wrong with o. New calls it.
func (o Options) Validate() error {
	if _, err := ParseDialect(string(o.Dialect)); err != nil {
		return err
	}
	if o.MaxPayload < 0 || o.MaxPayload > maxUDPPayload {
		return errors.New("statsd payload: out of range 1 to 65507 bytes")
	}
	switch o.Target.Scheme {
	case "", Stdout:
		return nil
	case UDP:
		if o.Target.Host == "" || o.Target.Port == 0 {
			return errors.New("statsd target: no host or port")
		}
		if o.Now == nil {
			return errors.New("statsd target: Options.Now is missing")
		}
		return nil
	}
	return errors.New("statsd target: unknown scheme " + string(o.Target.Scheme))
}

func (o Options) withDefaults() Options {
	orDuration := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	if o.MaxPayload == 0 {
		o.MaxPayload = DefaultMaxPayload
	}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.BurstPackets == 0 {
		o.BurstPackets = DefaultBurstPackets
	}
	orDuration(&o.Timeout, DefaultTimeout)
	orDuration(&o.ResolveTimeout, DefaultResolveTimeout)
	orDuration(&o.ResolveInterval, DefaultResolveInterval)
	orDuration(&o.MinBackoff, DefaultMinBackoff)
	orDuration(&o.MaxBackoff, DefaultMaxBackoff)
	orDuration(&o.BurstPause, DefaultBurstPause)
	return o
}

// SPDX-License-Identifier: Apache-2.0

package export

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Defaults.
const (
	DefaultPrefix = "probe"
	// DefaultMaxPayload fits into one Ethernet frame with IPv6 and UDP headers
	// and some room for tunnels.
	DefaultMaxPayload = 1432
	// maxUDPPayload is the largest an IPv4 datagram can carry.
	maxUDPPayload = 65507
	// unixPayload is what Datadog's agent reads at once from a Unix socket.
	unixPayload = 8192
	// streamPayload is the size of one write to a stream.
	streamPayload = 16 << 10
	// DefaultQueueBytes bounds the lines that wait in memory for a receiver
	// that confirms: about 88,000 lines of 95 bytes.
	DefaultQueueBytes = 8 << 20
	// MinQueueBytes has room for what is on its way.
	MinQueueBytes = 256 << 10
	// DefaultQueueAge is how long they wait at most.
	DefaultQueueAge = 24 * time.Hour
	// DefaultSpoolBytes bounds the lines that wait on disk: an outage of a day
	// with 120 lines per second.
	DefaultSpoolBytes = 1 << 30
	// MinSpoolBytes has room for a few files.
	MinSpoolBytes = 1 << 20
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
	// Prefix, Host, Dialect, Fields, Template, Tags, SelfTags and MaxCached
	// are those of EncoderOptions.
	Prefix         string
	Host           string
	Dialect        Dialect
	Fields         []Field
	Template       string
	Tags, SelfTags []Tag
	MaxCached      int
	// MaxPayload is the most bytes of one packet, up to 65507. 0: 1432 for
	// UDP, 8192 for Unix sockets. On streams without lengths it has no
	// meaning: a line has at most 16 KB there.
	MaxPayload int
	// QueueBytes and QueueAge bound the lines that wait for a target with a
	// queue (Target.Stream). 0: the defaults above.
	QueueBytes int
	QueueAge   time.Duration
	// SpoolDir is where they wait instead of in memory, so that they outlive
	// the process; it belongs to one Exporter at a time. SpoolBytes bounds it.
	// Empty: no spool; 0: DefaultSpoolBytes.
	SpoolDir   string
	SpoolBytes int64
	// Wall is wall time, for the age of lines that another process left in
	// the spool. Required with SpoolDir.
	Wall func() time.Time
	// Stdout replaces os.Stdout for the target stdout:. Its Write is not
	// bounded in time.
	Stdout io.Writer
	// Now is a monotonic clock with any origin, for back-off, ages and for
	// looking up the name again. Required but for Stdout and File.
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
	if err := o.Target.check(); err != nil {
		return err
	}
	if o.Target.Scheme != "" && o.Target.Scheme != Stdout && o.Target.Scheme != File && o.Now == nil {
		return errors.New("statsd target: Options.Now is missing")
	}
	if err := o.validateQueue(); err != nil {
		return err
	}
	_, err := NewEncoder(o.encoder())
	return err
}

func (o Options) validateQueue() error {
	switch {
	case o.QueueBytes != 0 && o.QueueBytes < MinQueueBytes:
		return fmt.Errorf("statsd queue of %d bytes: at least %d", o.QueueBytes, MinQueueBytes)
	case o.QueueAge < 0:
		return errors.New("statsd queue: the age must not be negative")
	case o.SpoolBytes != 0 && o.SpoolBytes < MinSpoolBytes:
		return fmt.Errorf("statsd spool of %d bytes: at least %d", o.SpoolBytes, MinSpoolBytes)
	case o.SpoolDir != "" && !o.Target.Stream():
		return fmt.Errorf("statsd spool: %s does not confirm what arrived; use tcp, unix or unix+dd", o.Target)
	case o.SpoolDir != "" && o.Wall == nil:
		return errors.New("statsd spool: Options.Wall is missing")
	}
	return nil
}

func (o Options) encoder() EncoderOptions {
	return EncoderOptions{
		Prefix: o.Prefix, Host: o.Host, Dialect: o.Dialect, Fields: o.Fields, Template: o.Template,
		Tags: o.Tags, SelfTags: o.SelfTags, MaxCached: o.MaxCached, MaxLine: o.payloadLimit(),
	}
}

// payloadLimit is the most bytes of a payload.
func (o Options) payloadLimit() int {
	switch {
	case o.Target.Scheme == UnixDD || o.Target.Scheme == Unixgram:
		if o.MaxPayload > 0 {
			return min(o.MaxPayload, streamPayload)
		}
		return unixPayload
	case o.Target.Scheme == UDP:
		return cmp.Or(o.MaxPayload, DefaultMaxPayload)
	}
	return streamPayload
}

func (o Options) newBackoff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = o.MinBackoff, o.MaxBackoff
	b.Reset()
	return b
}

func (o Options) withDefaults() Options {
	orDuration := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	o.QueueBytes = cmp.Or(o.QueueBytes, DefaultQueueBytes)
	o.SpoolBytes = cmp.Or(o.SpoolBytes, DefaultSpoolBytes)
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
	orDuration(&o.QueueAge, DefaultQueueAge)
	return o
}

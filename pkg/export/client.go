// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"
)

const (
	// clientFlush is the longest a line of a Client waits in its buffer.
	clientFlush = 100 * time.Millisecond
	// maxNames bounds the names whose fixed parts a Client keeps; others are
	// made safe again each time.
	maxNames = 10_000
)

// Errors of a Client's verbs. What goes wrong in the delivery is not among
// them: see Flush, Close, Counters and Status.
var (
	// ErrValue: the value is not a number, or not one of that type.
	ErrValue = errors.New("bad value")
	// ErrNoDelta: in Datadog's dialects a gauge with a sign is absolute.
	ErrNoDelta = errors.New("this dialect has no relative gauges")
)

// Client sends single metrics: the verbs of a statsd client on the dialects
// and transports of this package. A verb appends a line to a packet, which
// leaves when it is full, after 100 ms, at Flush and at Close.
//
// All methods may be called from several goroutines. A call allocates nothing
// once its name is known.
type Client struct {
	core *clientCore
	tags []Tag
	// names are the fixed parts of names, guarded by core.mu.
	names map[string]parts
}

// clientCore is what a Client shares with those made by With.
type clientCore struct {
	opt      Options
	dialect  Dialect
	counters counters

	mu       sync.Mutex
	sender   *sender
	timer    *time.Timer
	together []byte
	// open: lines were sent or packed since the last flush; cancel ends its
	// time limit.
	open   bool
	cancel context.CancelFunc
	closed bool
}

// NewClient returns a Client. Of the options, Host becomes a tag unless it is
// empty; Fields, Template, SelfTags and MaxCached have no meaning; bursts have
// pauses only if BurstPackets is set. Now is required.
func NewClient(opt Options) (*Client, error) {
	if opt.Now == nil {
		return nil, errors.New("set up client: Options.Now is missing")
	}
	opt.Fields, opt.Template, opt.SelfTags = []Field{}, "", nil
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("set up client: %w", err)
	}
	if opt.BurstPackets == 0 {
		opt.BurstPackets = -1
	}
	opt = opt.withDefaults()
	c := &clientCore{opt: opt}
	var err error
	if c.dialect, err = ParseDialect(string(opt.Dialect)); err != nil {
		return nil, fmt.Errorf("set up client: %w", err)
	}
	if c.sender, err = newSender(opt, &c.counters); err != nil {
		return nil, fmt.Errorf("set up client: %w", err)
	}
	c.timer = time.AfterFunc(clientFlush, c.tick)
	c.timer.Stop()
	tags := opt.Tags
	if opt.Host != "" {
		tags = MergeTags([]Tag{{string(FieldHost), opt.Host}}, tags)
	}
	return c.client(tags), nil
}

func (c *clientCore) client(tags []Tag) *Client {
	return &Client{core: c, tags: tags, names: make(map[string]parts)}
}

// With returns a Client whose lines have these tags as well; they win over
// those of the same key. It shares everything else with c: closing one closes
// both. A key that is no valid key is left out.
func (c *Client) With(tags ...Tag) *Client {
	var valid []Tag
	for _, tag := range tags {
		if validKey(tag.Key) {
			valid = append(valid, tag)
		}
	}
	return c.core.client(MergeTags(c.tags, valid))
}

// Incr adds n to a counter.
func (c *Client) Incr(name string, n int64) error {
	return c.send(name, Counter, func(b []byte) []byte { return appendInt(b, n) })
}

// Decr takes n off a counter. Some receivers (that of Prometheus) refuse a
// counter that goes down.
func (c *Client) Decr(name string, n int64) error { return c.Incr(name, -n) }

// Gauge sets a gauge. A negative value is sent as two lines in one packet,
// because a sign makes a gauge relative.
func (c *Client) Gauge(name string, value float64) error {
	if !finite(value) {
		return fmt.Errorf("gauge %s: %w %v", name, ErrValue, value)
	}
	if value >= 0 {
		// Abs for -0, whose sign would make it relative.
		return c.send(name, Gauge, func(b []byte) []byte { return appendFloat(b, math.Abs(value)) })
	}
	return c.pair(name, value)
}

// GaugeDelta moves a gauge. In Datadog's dialects it returns ErrNoDelta.
func (c *Client) GaugeDelta(name string, delta float64) error {
	if !finite(delta) {
		return fmt.Errorf("gauge %s: %w %v", name, ErrValue, delta)
	}
	if c.core.dialect.Datadog() {
		return fmt.Errorf("gauge %s: %w; set it with Gauge", name, ErrNoDelta)
	}
	return c.send(name, Gauge, func(b []byte) []byte {
		if delta >= 0 { // -0 as well
			return appendFloat(append(b, '+'), math.Abs(delta))
		}
		return appendFloat(b, delta)
	})
}

// Timing records a duration, in milliseconds with up to six decimals; a
// negative one as 0.
func (c *Client) Timing(name string, d time.Duration) error {
	return c.send(name, Timer, func(b []byte) []byte { return appendMillis(b, d) })
}

// Timer starts a clock and returns a function that stops it: it records and
// returns the time between the two.
func (c *Client) Timer(name string) func() (time.Duration, error) {
	start := c.core.opt.Now()
	return func() (time.Duration, error) {
		d := c.core.opt.Now() - start
		return d, c.Timing(name, d)
	}
}

// injectTypes are the types that Inject takes.
const injectTypes = "c, g, ms, s, h, d, m or kv"

// Inject sends a value of any type as it is: printable ASCII without ':', '|',
// '@', '#' and spaces.
func (c *Client) Inject(name, value string, t Type) error {
	switch t {
	case Counter, Gauge, Timer, "s", "h", "d", "m", "kv":
	default:
		return fmt.Errorf("inject %s: %w: type %q is unknown; use %s", name, ErrValue, t, injectTypes)
	}
	bad := func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(":|@#", r) }
	if value == "" || strings.ContainsFunc(value, bad) {
		return fmt.Errorf("inject %s: %w %q", name, ErrValue, value)
	}
	return c.send(name, t, func(b []byte) []byte { return append(b, value...) })
}

// Flush sends what is buffered and returns what went wrong since the last
// flush. Lines that a target with a queue has not confirmed stay there.
func (c *Client) Flush() error {
	c.core.mu.Lock()
	defer c.core.mu.Unlock()
	return c.core.flush()
}

// Close flushes, delivers what is queued until ctx ends, and closes the
// connection. The error says how many lines were lost. A second Close does
// nothing.
func (c *Client) Close(ctx context.Context) error { return c.core.close(ctx) }

// Counters returns the books.
func (c *Client) Counters() Counters { return c.core.counters.load() }

// Status returns the state of the target and the queue.
func (c *Client) Status() Status { return c.core.sender.status() }

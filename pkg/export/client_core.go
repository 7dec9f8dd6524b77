// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// send appends a line.
func (c *Client) send(name string, t Type, value func([]byte) []byte) error {
	core := c.core
	core.mu.Lock()
	defer core.mu.Unlock()
	if core.closed {
		return ErrClosed
	}
	core.begin()
	p := core.sender.packer
	p.Commit(c.line(p.Buffer(), name, t, value))
	return nil
}

// pair sets a gauge to a negative value.
func (c *Client) pair(name string, value float64) error {
	core := c.core
	core.mu.Lock()
	defer core.mu.Unlock()
	if core.closed {
		return ErrClosed
	}
	core.begin()
	b := c.line(core.together[:0], name, Gauge, func(b []byte) []byte { return append(b, '0') })
	core.together = c.line(b, name, Gauge, func(b []byte) []byte { return appendFloat(b, value) })
	core.sender.packer.AddTogether(core.together)
	return nil
}

func (c *Client) line(dst []byte, name string, t Type, value func([]byte) []byte) []byte {
	p := c.partsOf(name)
	dst = append(append(append(dst, p.head...), p.mid...), ':')
	dst = append(append(value(dst), '|'), t...)
	return append(append(dst, p.tail...), '\n')
}

// partsOf returns the fixed parts of a name, which is all of head.
func (c *Client) partsOf(name string) parts {
	if p, known := c.names[name]; known {
		return p
	}
	p := c.render(name)
	if len(c.names) < maxNames {
		c.names[name] = p
	}
	return p
}

func (c *Client) render(name string) parts {
	prefix := c.core.opt.Prefix
	if prefix == "" {
		prefix = DefaultPrefix
	}
	head := dotted(prefix, maxPrefixLength) + "."
	var p parts
	if c.core.dialect == Plain {
		for _, tag := range c.tags {
			head += cut(segment(tag.Value), minSegmentLength, tag.Value) + "."
		}
	} else {
		p = tagged{syntax: syntaxOf(c.core.dialect), tags: c.tags}.render(&identity{})
	}
	rest := dotted(name, max(maxNameLength-len(head), minSegmentLength))
	p.head = head + rest
	return p
}

// begin opens a delivery with its time limit, and starts the clock of the
// flush.
func (c *clientCore) begin() {
	if c.open {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.opt.Timeout)
	c.open, c.cancel = true, cancel
	c.sender.begin(ctx)
	c.timer.Reset(clientFlush)
}

// tick flushes; what goes wrong is in Status.
func (c *clientCore) tick() {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.flush()
}

func (c *clientCore) flush() error {
	if !c.open {
		return nil
	}
	c.timer.Stop()
	err := c.sender.end()
	c.cancel()
	c.open = false
	return err
}

func (c *clientCore) close(ctx context.Context) error {
	c.mu.Lock()
	closed := c.closed
	c.closed = true
	err := c.flush()
	c.mu.Unlock() // verbs need not wait to be told that it is closed
	if closed {
		return nil
	}
	if err = errors.Join(err, c.sender.transport.close(ctx)); err != nil {
		return fmt.Errorf("close client: %w", err)
	}
	return nil
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

// appendFloat writes a plain decimal: some receivers read no exponent.
func appendFloat(b []byte, f float64) []byte { return strconv.AppendFloat(b, f, 'f', -1, 64) }

// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// unixgram sends datagrams to a Unix socket. The kernel accepts one only into
// the receiver's queue: a receiver that is slow makes Write wait, within the
// time of an Export, and one that has gone is noticed by the very packet.
type unixgram struct {
	opt      Options
	counters *counters
	backoff  *backoff.ExponentialBackOff
	conn     *net.UnixConn
	retryAt  time.Duration
	lastErr  error
	// redialed in this Export.
	redialed bool
	ctx      context.Context
	release  func() bool
}

func newUnixgram(opt Options, c *counters) *unixgram {
	return &unixgram{opt: opt, counters: c, backoff: opt.newBackoff()}
}

func (u *unixgram) begin(ctx context.Context) error {
	if u.conn == nil && u.opt.Now() < u.retryAt {
		return fmt.Errorf("%w, waiting to retry after: %w", errDown, u.lastErr)
	}
	u.ctx, u.redialed = ctx, false
	if u.conn == nil {
		return u.dial()
	}
	u.arm()
	return nil
}

func (u *unixgram) dial() error {
	u.disconnect()
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: u.opt.Target.Path, Net: "unixgram"})
	if err != nil {
		u.counters.errorsConnect.Add(1)
		return u.fail(fmt.Errorf("connect: %w", err))
	}
	u.conn = conn
	u.arm()
	return nil
}

// arm lets the end of ctx wake up a Write that waits for the receiver.
func (u *unixgram) arm() {
	conn := u.conn
	u.release = context.AfterFunc(u.ctx, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) })
}

func (u *unixgram) send(_ context.Context, payload []byte, lines int) error {
	for {
		_, err := u.conn.Write(payload)
		switch {
		case err == nil:
			u.counters.sent(payload, lines)
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.EAGAIN):
			u.counters.errorsNoBuffer.Add(1)
			return fmt.Errorf("send packet: %w: the receiver does not read: %w", errDown, err)
		case errors.Is(err, syscall.ENOBUFS): // this packet only
			u.counters.errorsNoBuffer.Add(1)
			return fmt.Errorf("send packet: %w", err)
		case errors.Is(err, syscall.EMSGSIZE): // this packet only
			u.counters.errorsOther.Add(1)
			return fmt.Errorf("send packet: %w", err)
		}
		// The receiver has gone (ECONNREFUSED). There may be a new one: then
		// this packet is not lost.
		u.counters.errorsRefused.Add(1)
		if u.redialed {
			return u.fail(fmt.Errorf("send packet: %w", err))
		}
		u.redialed = true
		if err := u.dial(); err != nil {
			return err
		}
		u.counters.reconnects.Add(1)
	}
}

// fail begins a back-off and returns err as errDown.
func (u *unixgram) fail(err error) error {
	u.disconnect()
	u.lastErr = err
	u.retryAt = u.opt.Now() + u.backoff.NextBackOff()
	return fmt.Errorf("%w: %w", errDown, err)
}

func (u *unixgram) disconnect() {
	if u.release != nil {
		u.release()
		u.release = nil
	}
	if u.conn != nil {
		// What was sent is in the receiver's queue.
		_ = u.conn.Close()
		u.conn = nil
	}
}

func (u *unixgram) end() error {
	if u.conn == nil {
		return nil
	}
	if !u.release() {
		u.disconnect() // the deadline has fired or is about to
		return nil
	}
	u.release = nil
	u.backoff.Reset()
	return nil
}

func (u *unixgram) close(context.Context) error {
	u.disconnect()
	return nil
}

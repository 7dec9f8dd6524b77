// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// unixgram sends datagrams to a Unix socket. The kernel accepts one only into
// the receiver's queue: a receiver that is slow makes Write wait, within the
// time of an Export, and one that has gone is noticed by the very packet.
type unixgram struct {
	datagrams
	opt      Options
	counters *counters
	// redialed in this Export.
	redialed bool
}

func newUnixgram(opt Options, c *counters) *unixgram {
	u := &unixgram{opt: opt, counters: c}
	u.now, u.backoff = opt.Now, opt.newBackoff()
	return u
}

func (u *unixgram) begin(ctx context.Context) error {
	if err := u.waiting(); err != nil {
		return err
	}
	u.redialed = false
	if u.conn == nil {
		return u.dial(ctx)
	}
	u.arm(ctx)
	return nil
}

func (u *unixgram) dial(ctx context.Context) error {
	u.disconnect()
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: u.opt.Target.Path, Net: "unixgram"})
	if err != nil {
		u.counters.errorsConnect.Add(1)
		return u.fail(fmt.Errorf("connect: %w", err))
	}
	u.conn = conn
	u.arm(ctx)
	return nil
}

func (u *unixgram) send(ctx context.Context, payload []byte, lines int) error {
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
		if err := u.dial(ctx); err != nil {
			return err
		}
		u.counters.reconnects.Add(1)
	}
}

func (u *unixgram) end() error {
	if u.disarm() {
		u.backoff.Reset()
	}
	return nil
}

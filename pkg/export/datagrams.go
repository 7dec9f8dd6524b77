// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// errDown: nothing can be sent until the back-off is over.
var errDown = errors.New("receiver is down")

// datagrams is a socket of packets that may have to be given up: after a failure
// nothing is sent until a back-off is over.
type datagrams struct {
	now     func() time.Duration
	backoff *backoff.ExponentialBackOff
	// conn is nil while there is no socket.
	conn net.Conn
	// retryAt ends the back-off, lastErr is what began it.
	retryAt time.Duration
	lastErr error
	// release undoes what arm set up.
	release func() bool
}

// waiting returns errDown while the back-off goes on.
func (d *datagrams) waiting() error {
	if d.conn == nil && d.now() < d.retryAt {
		return fmt.Errorf("%w, waiting to retry after: %w", errDown, d.lastErr)
	}
	return nil
}

// arm lets the end of ctx wake up a Write that waits for room in the send buffer
// or for the receiver.
func (d *datagrams) arm(ctx context.Context) {
	conn := d.conn
	d.release = context.AfterFunc(ctx, func() {
		// Fails only when conn is closed, which wakes Write up too.
		_ = conn.SetWriteDeadline(time.Unix(1, 0))
	})
}

// disarm ends what arm began, and gives the socket up if its deadline has fired
// or is about to. It reports whether there is still one.
func (d *datagrams) disarm() bool {
	if d.conn == nil {
		return false
	}
	if !d.release() {
		d.disconnect()
		return false
	}
	d.release = nil
	return true
}

// fail begins a back-off and returns err as errDown.
func (d *datagrams) fail(err error) error {
	d.disconnect()
	d.lastErr = err
	d.retryAt = d.now() + d.backoff.NextBackOff()
	return fmt.Errorf("%w: %w", errDown, err)
}

// disconnect gives up the socket and its deadline.
func (d *datagrams) disconnect() {
	if d.release != nil {
		d.release()
		d.release = nil
	}
	if d.conn != nil {
		// Nothing is lost at close: what was sent is on its way, or in the
		// receiver's queue.
		_ = d.conn.Close()
		d.conn = nil
	}
}

func (d *datagrams) close(context.Context) error {
	d.disconnect()
	return nil
}

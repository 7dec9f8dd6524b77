// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// tcpSendBuffer and unixSendBuffer bound what is on its way; the kernel
	// doubles them. What a Unix peer has not read counts, so there it is also
	// the most that is sent twice when the peer dies.
	tcpSendBuffer  = 256 << 10
	unixSendBuffer = 32 << 10
	// tcpUserTimeout ends a connection on which nothing was confirmed for so
	// long: the network is cut, or the peer does not read.
	tcpUserTimeout = 30 * time.Second
	// endTimeout bounds the wait for the reader to see what the writer saw.
	endTimeout = time.Second
)

// link is a connection that knows how much of what was written has arrived.
//
// TCP: the peer's kernel has it (tcpi_bytes_acked). A Unix socket: the peer
// itself has read it, for the kernel counts what lies in the peer's socket as
// ours (SIOCOUTQ), with some overhead.
//
// How it ended matters. A peer that closes with everything read ends a stream
// in order (FIN, end of file); one that dies or closes before it has read all
// resets it.
type link struct {
	conn net.Conn
	raw  syscall.RawConn
	tcp  bool
	// base is what the kernel's count says before the first byte.
	base, sent, confirmed uint64
	// window is what a TCP peer last had room for, widest the most it had.
	window, widest uint32
	// ended is closed when the peer's end was seen; endErr says how.
	ended    chan struct{}
	endErr   error
	writeErr error
	// interrupted: we end it, not the peer.
	interrupted atomic.Bool
}

func newLink(conn net.Conn, opt Options) (*link, error) {
	l := &link{conn: conn, ended: make(chan struct{})}
	err := l.prepare(opt)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare connection: %w", err), conn.Close())
	}
	go l.watch()
	return l, nil
}

func (l *link) prepare(opt Options) (err error) {
	switch conn := l.conn.(type) {
	case *net.TCPConn:
		l.tcp = true
		if l.raw, err = conn.SyscallConn(); err != nil {
			return err
		}
		if err := conn.SetWriteBuffer(min(tcpSendBuffer, opt.QueueBytes/8)); err != nil {
			return err
		}
		if err := l.control(func(fd int) error {
			return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(tcpUserTimeout.Milliseconds()))
		}); err != nil {
			return err
		}
		l.base, err = l.bytesAcked()
		return err
	case *net.UnixConn:
		if l.raw, err = conn.SyscallConn(); err != nil {
			return err
		}
		return conn.SetWriteBuffer(unixSendBuffer)
	}
	return fmt.Errorf("%T", l.conn)
}

func (l *link) control(f func(fd int) error) error {
	var inner error
	if err := l.raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

func (l *link) bytesAcked() (acked uint64, err error) {
	err = l.control(func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			acked = info.Bytes_acked
			l.window, l.widest = info.Snd_wnd, max(l.widest, info.Snd_wnd)
		}
		return err
	})
	return acked, err
}

// watch reads until the connection ends. A receiver of statsd says nothing;
// what it says is thrown away.
func (l *link) watch() {
	var b [512]byte
	for {
		if _, err := l.conn.Read(b[:]); err != nil {
			l.endErr = err
			close(l.ended)
			l.wakeWriter()
			return
		}
	}
}

func (l *link) wakeWriter() {
	// Fails only on a closed connection, on which nobody waits.
	_ = l.conn.SetWriteDeadline(time.Unix(1, 0))
}

// interrupt ends the connection from our side.
func (l *link) interrupt() {
	l.interrupted.Store(true)
	_ = l.conn.SetDeadline(time.Unix(1, 0))
}

func (l *link) hasEnded() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

func (l *link) write(b []byte) (int, error) {
	n, err := l.conn.Write(b)
	l.sent += uint64(n)
	l.writeErr = err
	return n, err
}

func (l *link) unconfirmed() uint64 { return l.sent - l.confirmed }

// newlyConfirmed returns how many more bytes have arrived since the last call.
func (l *link) newlyConfirmed() uint64 {
	total := l.confirmed
	if l.tcp {
		if acked, err := l.bytesAcked(); err == nil {
			total = acked - l.base
		}
	} else if unread, alive := l.unread(); alive {
		total = l.sent - min(unread, l.sent)
	}
	return l.advance(total)
}

// unreadEstimate is how much of what was confirmed a TCP peer may not have read:
// by how much its window has shrunk.
func (l *link) unreadEstimate() int { return int(l.widest - l.window) }

func (l *link) advance(total uint64) uint64 {
	// The acknowledgement of a FIN counts as a byte.
	total = min(total, l.sent)
	if total <= l.confirmed {
		return 0
	}
	n := total - l.confirmed
	l.confirmed = total
	return n
}

// unread returns the memory that holds what a Unix peer has not read, which is
// at least as much as the bytes themselves. When a peer closes, its kernel
// first marks our end and then frees what was not read: only the count of an
// end that is not marked afterwards is true.
func (l *link) unread() (n uint64, alive bool) {
	err := l.control(func(fd int) error {
		queued, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		if err != nil {
			return err
		}
		n = uint64(queued)
		alive = !hungUp(fd)
		return nil
	})
	return n, alive && err == nil
}

// hungUp reports whether the peer of a Unix socket has closed or died.
func hungUp(fd int) bool {
	poll := []unix.PollFd{{Fd: int32(fd)}}
	n, err := unix.Poll(poll, 0)
	return err != nil || n > 0 && poll[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0
}

// linkEnd is how a connection ended.
type linkEnd struct {
	// confirmed is the last of newlyConfirmed.
	confirmed uint64
	// reset: the peer may not have read all that was confirmed.
	reset bool
	err   error
}

// finish closes the connection and tells how it ended.
func (l *link) finish() linkEnd {
	if l.writeErr != nil {
		// What broke the write breaks the read as well.
		select {
		case <-l.ended:
		case <-time.After(endTimeout):
			l.interrupt()
		}
	}
	var end linkEnd
	switch {
	case l.interrupted.Load() || !l.hasEnded():
		end.confirmed = l.newlyConfirmed()
	case l.timedOut() != nil:
		end.reset = l.tcp
		end.err = fmt.Errorf("connection lost after %v: it does not read, or the network is cut: %w", tcpUserTimeout, l.timedOut())
		end.confirmed = l.newlyConfirmed()
	case l.inOrder():
		end.err = errors.New("connection lost: the receiver closed it")
		end.confirmed = l.newlyConfirmed()
		if !l.tcp && l.peerGone() {
			end.confirmed += l.advance(l.sent) // all of it was read
		}
	default:
		end.reset, end.err = l.tcp, fmt.Errorf("connection lost: %w", l.endErr)
		end.confirmed = l.newlyConfirmed()
	}
	// Nothing of ours is lost by it: what is not confirmed is sent again.
	_ = l.conn.Close()
	<-l.ended
	return end
}

// timedOut returns what tells that tcpUserTimeout is over. The kernel tells it to
// one call, which may be a write: the read sees the end of the stream then.
func (l *link) timedOut() error {
	for _, err := range []error{l.writeErr, l.endErr} {
		if errors.Is(err, syscall.ETIMEDOUT) {
			return err
		}
	}
	return nil
}

// inOrder reports whether the peer ended the stream before anything went wrong.
// A TCP reset behind a FIN is told as EPIPE; of a reset that a write was told
// about, a read sees only the end.
func (l *link) inOrder() bool {
	if errors.Is(l.writeErr, syscall.ECONNRESET) {
		return false
	}
	return errors.Is(l.endErr, io.EOF) || l.tcp && errors.Is(l.endErr, syscall.EPIPE)
}

func (l *link) peerGone() (gone bool) {
	err := l.control(func(fd int) error { gone = hungUp(fd); return nil })
	return gone && err == nil
}

// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"probe/pkg/export"
)

const (
	// dialTimeout bounds names and connections; refusalWait is how long a host
	// that refuses a datagram may take to say so.
	dialTimeout = 3 * time.Second
	refusalWait = 200 * time.Millisecond
)

// statsd finds out whether lines would arrive, as far as the transport tells.
func statsd(ctx context.Context, t export.Target) Check {
	const name = "statsd"
	u, err := url.Parse(t.String())
	if t.Path != "" { // is taken as it is, whatever a '?' or '%' in it means to a URL
		u, err = &url.URL{Scheme: string(t.Scheme), Path: t.Path}, nil
	}
	if err != nil {
		return broken(name, t.String(), err.Error(), "--statsd udp://HOST:PORT")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	switch u.Scheme {
	case "stdout":
		return fine(name, "no receiver", "lines go to standard output; --statsd or STATSD_HOST name a receiver")
	case "file":
		return statsdFile(name, u)
	case "udp":
		return statsdUDP(ctx, name, u)
	case "tcp":
		return statsdStream(ctx, name, u, "tcp", u.Host)
	case "unixgram":
		return statsdStream(ctx, name, u, "unixgram", u.Path)
	}
	return statsdStream(ctx, name, u, "unix", u.Path)
}

// statsdFile: where the file is there, its directory need not be writable.
func statsdFile(name string, u *url.URL) Check {
	if info, err := os.Stat(u.Path); err == nil {
		err = unix.Access(u.Path, unix.W_OK)
		switch {
		case info.IsDir():
			return broken(name, u.String(), "a directory cannot be written", "--statsd file://"+filepath.Join(u.Path, "FILE"))
		case err != nil:
			return broken(name, u.String(), "the file cannot be written: "+err.Error(), "let this user write to it: chmod o+w "+u.Path)
		}
		return fine(name, u.String(), "the file can be written")
	}
	dir := filepath.Dir(u.Path)
	if err := unix.Access(dir, unix.W_OK); err != nil {
		return broken(name, u.String(), "the file cannot be written: "+dir+": "+err.Error(), "mkdir -p "+dir)
	}
	return fine(name, u.String(), "the file can be written")
}

// statsdUDP sends an empty datagram, which says nothing to a receiver and is
// answered with an error where there is none.
func statsdUDP(ctx context.Context, name string, u *url.URL) Check {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", u.Host)
	if err != nil {
		return notReached(name, u, err)
	}
	defer conn.Close()
	if _, err := conn.Write(nil); err != nil {
		return notReached(name, u, err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		conn.SetReadDeadline(deadline.Add(refusalWait - dialTimeout))
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return notReached(name, u, err)
	}
	return fine(name, u.String(), "resolves to "+conn.RemoteAddr().String()+", and nobody refused a datagram; UDP does not tell more")
}

func statsdStream(ctx context.Context, name string, u *url.URL, network, address string) Check {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return notReached(name, u, err)
	}
	conn.Close()
	return fine(name, u.String(), "a connection was made")
}

func notReached(name string, u *url.URL, err error) Check {
	remedy := "start the receiver there, or give another: --statsd udp://HOST:PORT, STATSD_HOST; Kubernetes: STATSD_HOST from status.hostIP"
	var unknown *net.DNSError
	switch {
	case errors.As(err, &unknown):
		remedy = "getent hosts " + u.Hostname() + "; correct the name in --statsd or STATSD_HOST"
	case errors.Is(err, os.ErrPermission):
		remedy = "let this user write to the socket: chmod o+w " + u.Path
	case u.Path != "":
		remedy = "start the receiver; in a container, mount the directory of " + u.Path
	}
	return broken(name, u.String(), "lines would not arrive: "+err.Error(), remedy)
}

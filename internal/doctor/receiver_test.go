// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"probe/pkg/export"
)

func TestReceiverUDP(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target, err := export.ParseTarget("udp://" + conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	if c := statsd(context.Background(), target); c.Status != Fine {
		t.Errorf("somebody listens: %+v", c)
	}
	conn.Close()
	if c := statsd(context.Background(), target); c.Status != Broken || !strings.Contains(c.Meaning, "refused") {
		t.Errorf("nobody listens: %+v", c)
	}
	unknown, err := export.ParseTarget("udp://no-such-host.invalid:8125")
	if err != nil {
		t.Fatal(err)
	}
	if c := statsd(context.Background(), unknown); c.Status != Broken || !strings.Contains(c.Remedy, "getent hosts no-such-host.invalid") {
		t.Errorf("no such host: %+v", c)
	}
	if c := statsd(context.Background(), export.Target{}); c.Status != Fine {
		t.Errorf("standard output: %+v", c)
	}
}

// Streams and datagrams on sockets of files.
func TestReceiverConnections(t *testing.T) {
	dir := t.TempDir()
	for _, network := range []string{"tcp", "unix", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			address, closer := listen(t, network, filepath.Join(dir, network))
			u := &url.URL{Scheme: network, Path: address}
			if network == "tcp" {
				u = &url.URL{Scheme: network, Host: address}
			}
			if c := statsdStream(context.Background(), "statsd", u, network, address); c.Status != Fine {
				t.Errorf("somebody listens: %+v", c)
			}
			closer()
			if c := statsdStream(context.Background(), "statsd", u, network, address); c.Status != Broken || c.Remedy == "" {
				t.Errorf("nobody listens: %+v", c)
			}
		})
	}
}

func listen(t *testing.T, network, path string) (address string, closer func()) {
	t.Helper()
	if network == "unixgram" {
		conn, err := net.ListenPacket(network, path)
		if err != nil {
			t.Fatal(err)
		}
		return path, func() { conn.Close() }
	}
	if network == "tcp" {
		path = "127.0.0.1:0"
	}
	listener, err := net.Listen(network, path)
	if err != nil {
		t.Fatal(err)
	}
	return listener.Addr().String(), func() { listener.Close() }
}

func TestReceiverFile(t *testing.T) {
	for path, want := range map[string]Status{
		filepath.Join(t.TempDir(), "lines"): Fine, "/no/such/directory/lines": Broken, t.TempDir(): Broken, "/dev/null": Fine,
	} {
		if c := statsdFile("statsd", &url.URL{Scheme: "file", Path: path}); c.Status != want {
			t.Errorf("%+v, want %s", c, want)
		}
	}
}

// A path is that of the receiver, not that of a URL.
func TestReceiverOddPath(t *testing.T) {
	for _, name := range []string{"a?b", "a#b", "a%20b", "100%"} {
		path := filepath.Join(t.TempDir(), name)
		_, closer := listen(t, "unix", path)
		target, err := export.ParseTarget("unix://" + path)
		if err != nil {
			t.Fatal(err)
		}
		if c := statsd(context.Background(), target); c.Status != Fine {
			t.Errorf("%+v", c)
		}
		closer()
	}
}

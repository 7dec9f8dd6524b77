// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// DefaultPort is the port of a target without one, that of the first statsd.
const DefaultPort = 8125

// Scheme is the transport of a Target.
type Scheme string

// Schemes.
const (
	UDP Scheme = "udp"
	TCP Scheme = "tcp"
	// Unixgram is a Unix socket of datagrams, Unix one of a stream.
	Unixgram Scheme = "unixgram"
	Unix     Scheme = "unix"
	// UnixDD is a Unix stream on which the length of a payload, 4 bytes in
	// little endian, comes before each: what Datadog's agent reads.
	UnixDD Scheme = "unix+dd"
	Stdout Scheme = "stdout"
	// File appends to a file.
	File Scheme = "file"
)

// ErrTarget is wrapped by every error of ParseTarget and TargetFromEnv.
var ErrTarget = errors.New("bad statsd target")

const validTargets = "use udp://host:port, tcp://host:port, unixgram:///path, unix:///path, unix+dd:///path, stdout: or file:///path"

// maxSocketPath is the longest path of a Unix socket.
const maxSocketPath = 107

// Target is where the lines go. The zero value is Stdout.
type Target struct {
	Scheme Scheme
	// Host is a name or an address without brackets; Port is 1 to 65535. Both
	// are for UDP and TCP only.
	Host string
	Port uint16
	// Path is absolute, for Unix sockets and File only.
	Path string
}

// String returns the form that ParseTarget reads.
func (t Target) String() string {
	switch t.Scheme {
	case UDP, TCP:
		return string(t.Scheme) + "://" + t.address()
	case Unixgram, Unix, UnixDD, File:
		return string(t.Scheme) + "://" + t.Path
	}
	return string(Stdout) + ":"
}

func (t Target) address() string { return net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))) }

// Stream reports whether the target confirms what arrived and lines wait for it
// in a queue.
func (t Target) Stream() bool { return t.Scheme == TCP || t.Scheme == Unix || t.Scheme == UnixDD }

// check reports what a target lacks.
func (t Target) check() error {
	switch t.Scheme {
	case "", Stdout:
		return nil
	case UDP, TCP:
		if t.Host == "" || t.Port == 0 {
			return errors.New("statsd target: no host or port")
		}
		return nil
	case Unixgram, Unix, UnixDD, File:
		if !filepath.IsAbs(t.Path) {
			return errors.New("statsd target: the path is not absolute")
		}
		return nil
	}
	return errors.New("statsd target: unknown scheme " + string(t.Scheme))
}

// ParseTarget reads udp://host[:port] or tcp://host[:port] (port 8125 when left
// out; an IPv6 address in brackets), unixgram:///path, unix:///path,
// unix+dd:///path, file:///path or stdout:. The error names what is valid.
func ParseTarget(s string) (Target, error) {
	name, rest, _ := strings.Cut(s, ":")
	scheme := Scheme(strings.ToLower(name))
	switch scheme {
	case Stdout:
		if rest != "" && rest != "//" {
			return Target{}, fmt.Errorf("%w %q: nothing may follow stdout:", ErrTarget, s)
		}
		return Target{Scheme: Stdout}, nil
	case UDP, TCP:
		if strings.HasPrefix(rest, "//") {
			return parseNetwork(scheme, s)
		}
	case Unixgram, Unix, UnixDD, File:
		if path, found := strings.CutPrefix(rest, "//"); found {
			return parsePath(scheme, path, s)
		}
	}
	return Target{}, fmt.Errorf("%w %q: %s", ErrTarget, s, validTargets)
}

func parseNetwork(scheme Scheme, s string) (Target, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Target{}, fmt.Errorf("%w %q: %w", ErrTarget, s, err)
	}
	if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return Target{}, fmt.Errorf("%w %q: nothing may follow the port; %s", ErrTarget, s, validTargets)
	}
	if u.Hostname() == "" {
		return Target{}, fmt.Errorf("%w %q: no host; %s", ErrTarget, s, validTargets)
	}
	port, err := parsePort(u.Port())
	if err != nil {
		return Target{}, fmt.Errorf("%w %q: %w", ErrTarget, s, err)
	}
	return Target{Scheme: scheme, Host: u.Hostname(), Port: port}, nil
}

func parsePath(scheme Scheme, path, s string) (Target, error) {
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return Target{}, fmt.Errorf("%w %q: want an absolute path, %s:///path", ErrTarget, s, scheme)
	}
	if scheme != File && len(path) > maxSocketPath {
		return Target{}, fmt.Errorf("%w %q: the path of a socket has at most %d bytes", ErrTarget, s, maxSocketPath)
	}
	return Target{Scheme: scheme, Path: path}, nil
}

func parsePort(s string) (uint16, error) {
	if s == "" {
		return DefaultPort, nil
	}
	port, err := strconv.ParseUint(s, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("port %q is not a number from 1 to 65535", s)
	}
	return uint16(port), nil
}

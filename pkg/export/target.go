// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// DefaultPort is the port of a target without one, that of the first statsd.
const DefaultPort = 8125

// Scheme is the transport of a Target.
type Scheme string

// Schemes that work.
const (
	UDP    Scheme = "udp"
	Stdout Scheme = "stdout"
)

// ErrTarget is wrapped by every error of ParseTarget and TargetFromEnv.
var ErrTarget = errors.New("bad statsd target")

const validTargets = "use udp://host:port or stdout:"

// Target is where the lines go. The zero value is Stdout.
type Target struct {
	Scheme Scheme
	// Host is a name or an address without brackets; Port is 1 to 65535. Both
	// are for UDP only.
	Host string
	Port uint16
}

// String returns the form that ParseTarget reads.
func (t Target) String() string {
	if t.Scheme != UDP {
		return string(Stdout) + ":"
	}
	return string(t.Scheme) + "://" + net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port)))
}

// ParseTarget reads udp://host[:port] (port 8125 when left out; an IPv6 address
// in brackets) or stdout:.
func ParseTarget(s string) (Target, error) {
	scheme, rest, _ := strings.Cut(s, ":")
	switch Scheme(strings.ToLower(scheme)) {
	case Stdout:
		if rest != "" && rest != "//" {
			return Target{}, fmt.Errorf("%w %q: nothing may follow stdout:", ErrTarget, s)
		}
		return Target{Scheme: Stdout}, nil
	case UDP:
		if strings.HasPrefix(rest, "//") {
			return parseUDP(s)
		}
	case "tcp", "unix", "unixgram":
		return Target{}, fmt.Errorf("%w %q: %s is not supported yet; %s", ErrTarget, s, scheme, validTargets)
	}
	return Target{}, fmt.Errorf("%w %q: %s", ErrTarget, s, validTargets)
}

func parseUDP(s string) (Target, error) {
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
	return Target{Scheme: UDP, Host: u.Hostname(), Port: port}, nil
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

// Env is what the environment says about the target.
type Env struct {
	// Target is valid when HasTarget is true, that is when STATSD_HOST is set.
	Target    Target
	HasTarget bool
	// Prefix is STATSD_PREFIX, or "".
	Prefix string
}

// TargetFromEnv reads STATSD_HOST, STATSD_PORT (8125), STATSD_PROTOCOL (udp)
// and STATSD_PREFIX. Without STATSD_HOST, port and protocol mean nothing:
// Kubernetes sets STATSD_PORT=tcp://10.0.0.1:8125 by itself for a service
// called statsd. With STATSD_HOST, the port of such a value is used.
func TargetFromEnv(getenv func(string) string) (Env, error) {
	env := Env{Prefix: getenv("STATSD_PREFIX")}
	host := strings.Trim(getenv("STATSD_HOST"), "[]")
	if host == "" {
		return env, nil
	}
	protocol := strings.ToLower(getenv("STATSD_PROTOCOL"))
	if protocol == "" {
		protocol = string(UDP)
	}
	if protocol != string(UDP) {
		return Env{}, fmt.Errorf("%w: STATSD_PROTOCOL=%s is not supported; use udp", ErrTarget, protocol)
	}
	value := getenv("STATSD_PORT")
	if _, address, found := strings.Cut(value, "://"); found {
		value = address[strings.LastIndexByte(address, ':')+1:]
	}
	port, err := parsePort(value)
	if err != nil {
		return Env{}, fmt.Errorf("%w: STATSD_PORT: %w", ErrTarget, err)
	}
	env.Target, env.HasTarget = Target{Scheme: UDP, Host: host, Port: port}, true
	return env, nil
}

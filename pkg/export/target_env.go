// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"net/netip"
	"strings"
)

// Env is what the environment says about the target.
type Env struct {
	// Target is valid when HasTarget is true.
	Target    Target
	HasTarget bool
	// Prefix is STATSD_PREFIX, or "".
	Prefix string
	// Tags are for every line, SelfTags for those of self counters.
	Tags, SelfTags []Tag
}

// FromEnv reads the variables of statsd clients, and for Datadog's dialects
// those of Datadog's clients before them: TargetFromEnv and DatadogFromEnv.
func FromEnv(dialect Dialect, getenv func(string) string) (Env, error) {
	env, err := TargetFromEnv(getenv)
	if err != nil || !dialect.Datadog() {
		return env, err
	}
	dd, err := DatadogFromEnv(getenv)
	if err != nil {
		return Env{}, err
	}
	if dd.HasTarget {
		env.Target, env.HasTarget = dd.Target, true
	}
	env.Tags, env.SelfTags = MergeTags(dd.Tags, env.Tags), dd.SelfTags
	return env, nil
}

// TargetFromEnv reads STATSD_HOST, STATSD_PORT (8125), STATSD_PROTOCOL (udp or
// tcp), STATSD_PREFIX and STATSD_TAGS (key=value or key:value, separated by
// commas). Without STATSD_HOST, port and protocol mean nothing: Kubernetes sets
// STATSD_PORT=tcp://10.0.0.1:8125 by itself for a service called statsd. With
// STATSD_HOST, the port of such a value is used.
func TargetFromEnv(getenv func(string) string) (Env, error) {
	env := Env{Prefix: getenv("STATSD_PREFIX")}
	var err error
	if env.Tags, err = ParseTags(getenv("STATSD_TAGS")); err != nil {
		return Env{}, fmt.Errorf("STATSD_TAGS: %w", err)
	}
	host, err := hostFrom(getenv, "STATSD_HOST")
	if err != nil || host == "" {
		return env, err
	}
	scheme := Scheme(strings.ToLower(getenv("STATSD_PROTOCOL")))
	if scheme == "" {
		scheme = UDP
	}
	if scheme != UDP && scheme != TCP {
		return Env{}, fmt.Errorf("%w: STATSD_PROTOCOL=%s is unknown; use udp or tcp", ErrTarget, scheme)
	}
	value := getenv("STATSD_PORT")
	if _, address, found := strings.Cut(value, "://"); found {
		value = address[strings.LastIndexByte(address, ':')+1:]
	}
	port, err := parsePort(value)
	if err != nil {
		return Env{}, fmt.Errorf("%w: STATSD_PORT: %w", ErrTarget, err)
	}
	env.Target, env.HasTarget = Target{Scheme: scheme, Host: host, Port: port}, true
	return env, nil
}

// hostFrom reads a name or an address, without which nothing could be resolved.
func hostFrom(getenv func(string) string, variable string) (string, error) {
	host := strings.Trim(getenv(variable), "[]")
	if _, err := netip.ParseAddr(host); err != nil && strings.ContainsAny(host, " \t\r\n/:@?#[]") {
		return "", fmt.Errorf("%w: %s=%q is no name or address of a host: port and protocol have variables of their own", ErrTarget, variable, host)
	}
	return host, nil
}

// Tags made of Datadog's variables.
const (
	tagEntity  = "dd.internal.entity_id"
	tagEnv     = "env"
	tagService = "service"
	tagVersion = "version"
)

// DatadogFromEnv reads DD_DOGSTATSD_URL, or else DD_AGENT_HOST and
// DD_DOGSTATSD_PORT (8125), and the tags of DD_ENV and DD_ENTITY_ID. DD_SERVICE
// and DD_VERSION are about the process that sends, so they become the tags of
// the self counters only: the service tag of all other lines is the service
// that was observed.
func DatadogFromEnv(getenv func(string) string) (Env, error) {
	var env Env
	add := func(tags *[]Tag, variable, key string) {
		if value := getenv(variable); value != "" {
			*tags = append(*tags, Tag{key, value})
		}
	}
	add(&env.Tags, "DD_ENTITY_ID", tagEntity)
	add(&env.Tags, "DD_ENV", tagEnv)
	add(&env.SelfTags, "DD_SERVICE", tagService)
	add(&env.SelfTags, "DD_VERSION", tagVersion)
	if address := getenv("DD_DOGSTATSD_URL"); address != "" {
		t, err := parseDatadogURL(address)
		if err != nil {
			return Env{}, fmt.Errorf("DD_DOGSTATSD_URL: %w", err)
		}
		env.Target, env.HasTarget = t, true
		return env, nil
	}
	host, err := hostFrom(getenv, "DD_AGENT_HOST")
	if err != nil || host == "" {
		return env, err
	}
	port, err := parsePort(getenv("DD_DOGSTATSD_PORT"))
	if err != nil {
		return Env{}, fmt.Errorf("%w: DD_DOGSTATSD_PORT: %w", ErrTarget, err)
	}
	env.Target, env.HasTarget = Target{Scheme: UDP, Host: host, Port: port}, true
	return env, nil
}

// parseDatadogURL reads Datadog's names for the schemes: their unix is a
// datagram socket, their unixstream has lengths before payloads.
func parseDatadogURL(s string) (Target, error) {
	scheme, rest, _ := strings.Cut(s, "://")
	switch scheme {
	case "unix", "unixgram":
		return parsePath(Unixgram, rest, s)
	case "unixstream":
		return parsePath(UnixDD, rest, s)
	case "udp":
		return parseNetwork(UDP, s)
	}
	return Target{}, fmt.Errorf("%w %q: use udp://host:port, unix:///path, unixgram:///path or unixstream:///path", ErrTarget, s)
}

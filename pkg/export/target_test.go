// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseTarget(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		want Target
		err  string
	}{
		"udp://127.0.0.1:8125":                {want: Target{Scheme: UDP, Host: "127.0.0.1", Port: 8125}},
		"udp://statsd.example":                {want: Target{Scheme: UDP, Host: "statsd.example", Port: 8125}},
		"UDP://h:1/":                          {want: Target{Scheme: UDP, Host: "h", Port: 1}},
		"udp://[::1]:9125":                    {want: Target{Scheme: UDP, Host: "::1", Port: 9125}},
		"udp://[fe80::1%25eth0]:912":          {want: Target{Scheme: UDP, Host: "fe80::1%eth0", Port: 912}},
		"stdout:":                             {want: Target{Scheme: Stdout}},
		"stdout://":                           {want: Target{Scheme: Stdout}},
		"stdout":                              {want: Target{Scheme: Stdout}},
		"":                                    {err: validTargets},
		"127.0.0.1:8125":                      {err: validTargets},
		"udp:127.0.0.1:8125":                  {err: validTargets},
		"http://h:80":                         {err: validTargets},
		"tcp://h":                             {want: Target{Scheme: TCP, Host: "h", Port: 8125}},
		"tcp://[::1]:1":                       {want: Target{Scheme: TCP, Host: "::1", Port: 1}},
		"unix:///run/statsd.sock":             {want: Target{Scheme: Unix, Path: "/run/statsd.sock"}},
		"unixgram:///run/s.sock":              {want: Target{Scheme: Unixgram, Path: "/run/s.sock"}},
		"unix+dd:///run/s.sock":               {want: Target{Scheme: UnixDD, Path: "/run/s.sock"}},
		"file:///var/log/x":                   {want: Target{Scheme: File, Path: "/var/log/x"}},
		"tcp:h:8125":                          {err: validTargets},
		"unix:/run/s.sock":                    {err: validTargets},
		"unix://run/s.sock":                   {err: "absolute path"},
		"unix://":                             {err: "absolute path"},
		"unix:///" + strings.Repeat("x", 107): {err: "at most 107"},
		"file://x":                            {err: "absolute path"},
		"udp://":                              {err: "no host"},
		"udp://:8125":                         {err: "no host"},
		"udp://h:0":                           {err: "1 to 65535"},
		"udp://h:65536":                       {err: "1 to 65535"},
		"udp://h:x":                           {err: "invalid port"},
		"udp://h:1/path":                      {err: "nothing may follow"},
		"udp://h:1?x=y":                       {err: "nothing may follow"},
		"udp://u@h:1":                         {err: "nothing may follow"},
		"stdout:x":                            {err: "nothing may follow"},
	}
	for in, tt := range tests {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			got, err := ParseTarget(in)
			checkTargetError(t, err, tt.err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if err != nil {
				return
			}
			again, err := ParseTarget(strings.ReplaceAll(got.String(), "%", "%25"))
			if err != nil || again != got {
				t.Errorf("%s reads back as %v, %v", got, again, err)
			}
		})
	}
}

func checkTargetError(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if !errors.Is(err, ErrTarget) || !strings.Contains(err.Error(), want) {
		t.Errorf("error = %v, want one with %q", err, want)
	}
}

func TestTargetFromEnv(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		env  map[string]string
		want Env
		err  string
	}{
		"nothing":   {},
		"host only": {env: map[string]string{"STATSD_HOST": "h"}, want: Env{Target: Target{Scheme: UDP, Host: "h", Port: 8125}, HasTarget: true}},
		"all": {
			env:  map[string]string{"STATSD_HOST": "[::1]", "STATSD_PORT": "9", "STATSD_PROTOCOL": "UDP", "STATSD_PREFIX": "my.app"},
			want: Env{Target: Target{Scheme: UDP, Host: "::1", Port: 9}, HasTarget: true, Prefix: "my.app"},
		},
		"prefix only": {env: map[string]string{"STATSD_PREFIX": "x"}, want: Env{Prefix: "x"}},
		"set by Kubernetes, no host": {
			env: map[string]string{"STATSD_PORT": "tcp://10.0.0.1:8125"},
		},
		"set by Kubernetes, with host": {
			env:  map[string]string{"STATSD_HOST": "h", "STATSD_PORT": "udp://10.0.0.1:9125"},
			want: Env{Target: Target{Scheme: UDP, Host: "h", Port: 9125}, HasTarget: true},
		},
		"bad port":       {env: map[string]string{"STATSD_HOST": "h", "STATSD_PORT": "x"}, err: "STATSD_PORT"},
		"host with port": {env: map[string]string{"STATSD_HOST": "h:8125"}, err: "STATSD_HOST"},
		"host of a URL":  {env: map[string]string{"STATSD_HOST": "udp://h"}, err: "STATSD_HOST"},
		"host and more":  {env: map[string]string{"STATSD_HOST": "h\r"}, err: "STATSD_HOST"},
		"zone":           {env: map[string]string{"STATSD_HOST": "fe80::1%eth0"}, want: Env{Target: Target{Scheme: UDP, Host: "fe80::1%eth0", Port: 8125}, HasTarget: true}},
		"tcp":            {env: map[string]string{"STATSD_HOST": "h", "STATSD_PROTOCOL": "tcp"}, want: Env{Target: Target{Scheme: TCP, Host: "h", Port: 8125}, HasTarget: true}},
		"pigeon":         {env: map[string]string{"STATSD_HOST": "h", "STATSD_PROTOCOL": "pigeon"}, err: "use udp or tcp"},
		"tags": {
			env:  map[string]string{"STATSD_TAGS": "env=prod, region:eu-1,"},
			want: Env{Tags: []Tag{{"env", "prod"}, {"region", "eu-1"}}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := TargetFromEnv(func(key string) string { return tt.env[key] })
			checkTargetError(t, err, tt.err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDatadogFromEnv(t *testing.T) {
	t.Parallel()
	udp := func(host string, port uint16) Target { return Target{Scheme: UDP, Host: host, Port: port} }
	tests := map[string]struct {
		env  map[string]string
		want Env
		err  string
	}{
		"nothing": {},
		"host":    {env: map[string]string{"DD_AGENT_HOST": "h"}, want: Env{Target: udp("h", 8125), HasTarget: true}},
		"port":    {env: map[string]string{"DD_AGENT_HOST": "::1", "DD_DOGSTATSD_PORT": "9"}, want: Env{Target: udp("::1", 9), HasTarget: true}},
		"the URL wins": {
			env:  map[string]string{"DD_AGENT_HOST": "h", "DD_DOGSTATSD_URL": "udp://u:7"},
			want: Env{Target: udp("u", 7), HasTarget: true},
		},
		"their unix is of datagrams": {
			env:  map[string]string{"DD_DOGSTATSD_URL": "unix:///var/run/datadog/dsd.socket"},
			want: Env{Target: Target{Scheme: Unixgram, Path: "/var/run/datadog/dsd.socket"}, HasTarget: true},
		},
		"their streams have lengths": {
			env:  map[string]string{"DD_DOGSTATSD_URL": "unixstream:///x"},
			want: Env{Target: Target{Scheme: UnixDD, Path: "/x"}, HasTarget: true},
		},
		"they win over the others": {
			env:  map[string]string{"DD_AGENT_HOST": "dd", "STATSD_HOST": "etsy", "STATSD_PREFIX": "p"},
			want: Env{Target: udp("dd", 8125), HasTarget: true, Prefix: "p"},
		},
		"tags": {
			env: map[string]string{
				"DD_ENV": "prod", "DD_SERVICE": "agent", "DD_VERSION": "1.2", "DD_ENTITY_ID": "pod-7", "STATSD_TAGS": "env:test,a:b",
			},
			want: Env{
				Tags:     []Tag{{"dd.internal.entity_id", "pod-7"}, {"env", "test"}, {"a", "b"}},
				SelfTags: []Tag{{"service", "agent"}, {"version", "1.2"}},
			},
		},
		"bad URL":  {env: map[string]string{"DD_DOGSTATSD_URL": "http://h"}, err: "DD_DOGSTATSD_URL"},
		"bad host": {env: map[string]string{"DD_AGENT_HOST": "h:8125"}, err: "DD_AGENT_HOST"},
		"bad port": {env: map[string]string{"DD_AGENT_HOST": "h", "DD_DOGSTATSD_PORT": "x"}, err: "DD_DOGSTATSD_PORT"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			getenv := func(key string) string { return tt.env[key] }
			got, err := FromEnv(DogStatsD11, getenv)
			checkTargetError(t, err, tt.err)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			plain, err := FromEnv(Plain, getenv)
			if err != nil || len(plain.SelfTags) > 0 || plain.Target.Host == "dd" {
				t.Errorf("other dialects see them too: %+v, %v", plain, err)
			}
		})
	}
}

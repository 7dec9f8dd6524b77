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
		"udp://127.0.0.1:8125":       {want: Target{UDP, "127.0.0.1", 8125}},
		"udp://statsd.example":       {want: Target{UDP, "statsd.example", 8125}},
		"UDP://h:1/":                 {want: Target{UDP, "h", 1}},
		"udp://[::1]:9125":           {want: Target{UDP, "::1", 9125}},
		"udp://[fe80::1%25eth0]:912": {want: Target{UDP, "fe80::1%eth0", 912}},
		"stdout:":                    {want: Target{Scheme: Stdout}},
		"stdout://":                  {want: Target{Scheme: Stdout}},
		"stdout":                     {want: Target{Scheme: Stdout}},
		"":                           {err: validTargets},
		"127.0.0.1:8125":             {err: validTargets},
		"udp:127.0.0.1:8125":         {err: validTargets},
		"http://h:80":                {err: validTargets},
		"tcp://h:8125":               {err: "tcp is not supported yet; use udp://host:port or stdout:"},
		"unix:///run/statsd.sock":    {err: "unix is not supported yet"},
		"unixgram:///run/s.sock":     {err: "unixgram is not supported yet"},
		"udp://":                     {err: "no host"},
		"udp://:8125":                {err: "no host"},
		"udp://h:0":                  {err: "1 to 65535"},
		"udp://h:65536":              {err: "1 to 65535"},
		"udp://h:x":                  {err: "invalid port"},
		"udp://h:1/path":             {err: "nothing may follow"},
		"udp://h:1?x=y":              {err: "nothing may follow"},
		"udp://u@h:1":                {err: "nothing may follow"},
		"stdout:x":                   {err: "nothing may follow"},
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
		"host only": {env: map[string]string{"STATSD_HOST": "h"}, want: Env{Target: Target{UDP, "h", 8125}, HasTarget: true}},
		"all": {
			env:  map[string]string{"STATSD_HOST": "[::1]", "STATSD_PORT": "9", "STATSD_PROTOCOL": "UDP", "STATSD_PREFIX": "my.app"},
			want: Env{Target: Target{UDP, "::1", 9}, HasTarget: true, Prefix: "my.app"},
		},
		"prefix only": {env: map[string]string{"STATSD_PREFIX": "x"}, want: Env{Prefix: "x"}},
		"set by Kubernetes, no host": {
			env: map[string]string{"STATSD_PORT": "tcp://10.0.0.1:8125"},
		},
		"set by Kubernetes, with host": {
			env:  map[string]string{"STATSD_HOST": "h", "STATSD_PORT": "udp://10.0.0.1:9125"},
			want: Env{Target: Target{UDP, "h", 9125}, HasTarget: true},
		},
		"bad port": {env: map[string]string{"STATSD_HOST": "h", "STATSD_PORT": "x"}, err: "STATSD_PORT"},
		"tcp":      {env: map[string]string{"STATSD_HOST": "h", "STATSD_PROTOCOL": "tcp"}, err: "use udp"},
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

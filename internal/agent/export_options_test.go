// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"probe/internal/clock"
	"probe/pkg/export"
)

// Flags win over variables, and these over the defaults.
func TestExportOptions(t *testing.T) {
	udp := func(host string) export.Target { return export.Target{Scheme: export.UDP, Host: host, Port: 8125} }
	tests := map[string]struct {
		env  map[string]string
		opt  Options
		want export.Options
	}{
		"defaults": {want: export.Options{Dialect: export.Plain}},
		"variables": {
			env:  map[string]string{"STATSD_HOST": "s", "STATSD_PREFIX": "p", "STATSD_TAGS": "env=test,a=b", "DD_AGENT_HOST": "d"},
			want: export.Options{Dialect: export.Plain, Target: udp("s"), Prefix: "p", Tags: []export.Tag{{Key: "env", Value: "test"}, {Key: "a", Value: "b"}}},
		},
		"flags": {
			env: map[string]string{"STATSD_HOST": "s", "STATSD_PORT": "none", "STATSD_PREFIX": "p", "STATSD_TAGS": "env=test,a=b"},
			opt: Options{
				Statsd: "udp://f", Dialect: "influx", Prefix: "f",
				Export: ExportOptions{
					Fields: "status,host", Tags: []string{"env=prod"}, QueueBytes: 1 << 20, QueueAge: time.Hour, SpoolDir: "/s", SpoolBytes: 1 << 21,
				},
			},
			want: export.Options{
				Dialect: export.Influx, Target: udp("f"), Prefix: "f", Fields: []export.Field{export.FieldHost, export.FieldStatus},
				Tags:       []export.Tag{{Key: "env", Value: "prod"}, {Key: "a", Value: "b"}},
				QueueBytes: 1 << 20, QueueAge: time.Hour, SpoolDir: "/s", SpoolBytes: 1 << 21,
			},
		},
		"Datadog's variables in its dialects": {
			env: map[string]string{"STATSD_HOST": "s", "DD_AGENT_HOST": "d", "DD_ENV": "prod", "DD_SERVICE": "probe"},
			opt: Options{Dialect: "dogstatsd"},
			want: export.Options{
				Dialect: export.DogStatsD, Target: udp("d"),
				Tags: []export.Tag{{Key: "env", Value: "prod"}}, SelfTags: []export.Tag{{Key: "service", Value: "probe"}},
			},
		},
		"a flag hides their target, not their tags": {
			env:  map[string]string{"DD_DOGSTATSD_URL": "nonsense", "DD_ENV": "prod"},
			opt:  Options{Dialect: "dogstatsd", Statsd: "stdout:"},
			want: export.Options{Dialect: export.DogStatsD, Target: export.Target{Scheme: export.Stdout}, Tags: []export.Tag{{Key: "env", Value: "prod"}}},
		},
	}
	c, err := clock.New()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, variable := range []string{"STATSD_HOST", "STATSD_PORT", "STATSD_PROTOCOL", "STATSD_PREFIX", "STATSD_TAGS", "DD_AGENT_HOST", "DD_DOGSTATSD_URL", "DD_ENV", "DD_SERVICE", "DD_VERSION", "DD_ENTITY_ID"} {
				t.Setenv(variable, tt.env[variable])
			}
			tt.opt.Stdout = io.Discard
			got, err := tt.opt.exportOptions(c)
			if err != nil {
				t.Fatal(err)
			}
			if got.Now == nil || got.Wall == nil || time.Since(got.Wall()).Abs() > time.Minute {
				t.Error("the clocks are missing or wrong")
			}
			ignore := cmpopts.IgnoreFields(export.Options{}, "Host", "Stdout", "Now", "Wall", "Resolver")
			if diff := cmp.Diff(tt.want, got, ignore, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// In a pod, figures are those of the node, whose name is the cluster's and stays
// whole: parts of it may be those of other nodes.
func TestHostname(t *testing.T) {
	for _, name := range []string{"node-1", "cn-hangzhou.192.168.0.1", "10.76.114.210", "ip-10-0-0-1.eu-west-1.compute.internal"} {
		t.Setenv("NODE_NAME", name)
		if got := hostname(); got != name {
			t.Errorf("host %q, want %s", got, name)
		}
	}
	t.Setenv("NODE_NAME", "")
	if got := hostname(); got == "" || got == "ip-10-0-0-1" {
		t.Errorf("host %q without NODE_NAME", got)
	}
}

func TestFirstLabel(t *testing.T) {
	for name, want := range map[string]string{
		"vm": "vm", "vm.example.com": "vm", "10.76.114.210": "10.76.114.210", "::1": "::1", "": "",
	} {
		if got := firstLabel(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

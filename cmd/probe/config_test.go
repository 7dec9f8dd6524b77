// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"probe/internal/agent"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"interval", "listen", "log-format", "log-interval", "log-level", "port", "role", "statsd", "statsd-dialect"}
	for key, want := range map[string]string{
		"intervall": "interval", "log_level": "log-level", "Port": "port", "ports": "port", "": "port", "statsd.dialect": "statsd-dialect",
		strings.Repeat("x", 10_000): "interval",
	} {
		if got := nearest(key, names); len(got) != 3 || got[0] != want && key != "" && len(key) < 100 {
			t.Errorf("%.20q: %q, want %q first", key, got, want)
		}
	}
	for _, test := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"log_level", "log-level", 1}, {"ab", "ba", 2}} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("from %q to %q: %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

func TestMistyped(t *testing.T) {
	t.Parallel()
	flags := validKeys(newRoot(nil, nil))
	for setting, want := range map[string]string{
		"PROBE_STATDS=udp://h:1": "PROBE_STATDS is no setting: did you mean PROBE_STATSD?", "PROBE_LOGLEVEL=debug": "PROBE_LOGLEVEL is no setting: did you mean PROBE_LOG_LEVEL?",
		"PROBE_STATSD=": "", "PROBE_CONFIG=/x": "", "PROBE_": "", "PROBE": "", "PROBE_SERVICE_HOST=10.0.0.1": "", "PROBE_SERVICE_PORT=80": "",
		"PROBE_PORT_80_TCP=tcp://10.0.0.1:80": "", "PROBE_PORT_80_TCP_PROTO=tcp": "", "STATDS=": "",
	} {
		if got := strings.Join(mistyped([]string{setting}, flags), "\n"); got != want {
			t.Errorf("%s: %q, want %q", setting, got, want)
		}
	}
}

func TestManyDocuments(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"": false, "a: 1\n": false, "---\na: 1\n": false, "# why\n%YAML 1.2\n---\na: 1\n...\n": false, "a: 1\n---\n# end\n": false,
		"a: ---\nb: 1\n": false, "a: 1\n----: 2\n": false, "--- {a: 1}\n": false,
		"a: 1\n---\nb: 2\n": true, "---\n---\na: 1\n": true, "---\na: 1\n--- {b: 1}": true, "a: 1\r\n---\r\nb: 2\r\n": true,
	} {
		if got := manyDocuments([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// What the settings are after each of three readings of the file.
func TestReloader(t *testing.T) {
	file := filepath.Join(t.TempDir(), "probe.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PROBE_PREFIX", "from-environment")
	write("interval: 5s\nport: [80]\nprefix: from-file\nlog-level: info\nrole: client\n")
	c := &common{flags: runFlags, level: new(slog.LevelVar)}
	f := pflag.NewFlagSet("run", pflag.ContinueOnError)
	c.flags(c, f)
	if err := f.Parse([]string{"--config", file, "--role", "both", "--comm", "a,b"}); err != nil {
		t.Fatal(err)
	}
	line := typedFlags(f)
	valid := validKeys(newRoot(nil, nil))
	if _, err := c.options(f, valid); err != nil {
		t.Fatal(err)
	}
	reload := c.reloader(f, line, valid, nil)

	// Settings that the agent refuses are not those in use: they are compared
	// with the next time, and the level of the log stays.
	write("interval: 6s\nport: [80, 443]\nlog-level: debug\nrole: server\n")
	if _, err := reload(); err != nil || c.level.Level() != slog.LevelInfo {
		t.Fatalf("%v, level %v", err, c.level)
	}
	write("interval: 7s\nport: [80, 443]\nprefix: other\nlog-level: debug\nrole: server\n")
	next, err := reload()
	if err != nil {
		t.Fatal(err)
	}
	next.Adopted([]string{"interval", "log-level"})
	if diff := cmp.Diff([]string{"interval", "log-level", "port"}, next.Changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	o := next.Options
	if o.Interval.Seconds() != 7 || o.Prefix != "from-environment" || o.Role != "both" || c.level.Level() != slog.LevelDebug ||
		!cmp.Equal(o.Comms, []string{"a", "b"}) || !cmp.Equal(o.Ports, []uint16{80, 443}) {
		t.Errorf("options %+v, level %v", o, c.level)
	}

	write("intervall: 9s\n")
	if _, err := reload(); !errors.Is(err, agent.ErrUsage) {
		t.Errorf("%v, want bad usage", err)
	}
	write("log-level: warn\ninterval: 1ms\n")
	if _, err := reload(); err == nil || c.level.Level() != slog.LevelDebug {
		t.Errorf("%v, level %v: settings that are not valid must change nothing", err, c.level)
	}
	// What needs a restart is named until there is one, or until it is as before.
	for text, want := range map[string][]string{
		"interval: 7s\nport: [80, 443]\nlog-level: debug\n": {"port"}, "interval: 7s\nport: [80]\nlog-level: debug\n": nil,
	} {
		write(text)
		if next, err = reload(); err != nil || !cmp.Equal(next.Changed, want) {
			t.Errorf("%q: %v, changed %v, want %v", text, err, next.Changed, want)
		}
	}
	// Defaults come back when a key is gone.
	write("")
	if next, err = reload(); err != nil {
		t.Fatal(err)
	}
	if next.Adopted(next.Changed); next.Options.Interval != agent.DefaultInterval || c.level.Level() != slog.LevelInfo {
		t.Errorf("%+v, %v, level %v", next, err, c.level)
	}
}

// Any bytes as a config file: settings, or one line that says what is wrong.
func FuzzConfig(f *testing.F) {
	f.Add([]byte("role: both\nport: [80, 443]\ncomm:\n  - nginx\n"), false)
	f.Add([]byte("statsd:\n  dialect: plain\n"), false)
	f.Add([]byte("a: &a [*a, *a]\n"), false)
	f.Add([]byte("? [x]\n: 1\n"), false)
	f.Add([]byte("1: 2\nport: 1e3\n"), false)
	f.Add([]byte("ring-bytes: 0x1000\nduration: 2020-01-01\n"), false)
	f.Add([]byte(`{"role": "both", "port": [80, 4.5], "json": true, "pid": null}`), true)
	valid := validKeys(newRoot(nil, nil))
	f.Fuzz(func(t *testing.T, text []byte, asJSON bool) {
		file := filepath.Join(t.TempDir(), "c.yaml")
		if asJSON {
			file = filepath.Join(filepath.Dir(file), "c.json")
		}
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c := &common{flags: runFlags, level: new(slog.LevelVar), config: file}
		flags := pflag.NewFlagSet("run", pflag.ContinueOnError)
		c.flags(c, flags)
		c.config = file
		err := fromFile(flags, file, valid)
		if err == nil {
			return
		}
		if !errors.Is(err, agent.ErrUsage) || strings.Contains(oneLine(err), "\n") {
			t.Errorf("%q", err)
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
)

// Filters that match nothing are named, those that match something are not.
func TestWarnAbsent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	used := uint16(l.Addr().(*net.TCPAddr).Port)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unused := uint16(other.Addr().(*net.TCPAddr).Port)
	other.Close()
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		opt     Options
		judging *judging
		want    []string // parts of the lines, in order
	}{
		"no filter": {opt: Options{Role: "server"}},
		"present": {
			opt:     Options{Role: "server", PIDs: []uint32{uint32(os.Getpid())}, Comms: []string{strings.TrimSpace(string(comm))}, Ports: []uint16{used}},
			judging: &judging{firstWanted: 1},
		},
		"absent": {
			opt:     Options{Role: "server", PIDs: []uint32{1 << 22}, Comms: []string{"nobody's name"}, Ports: []uint16{used, unused}},
			judging: &judging{}, want: []string{"pid=4194304", `comm="nobody's name"`, "--container", "port="},
		},
		"ports of others": {opt: Options{Role: "client", Ports: []uint16{unused}}},
	} {
		var text bytes.Buffer
		a := &Agent{opt: test.opt, log: slog.New(slog.NewTextHandler(&text, nil)), names: &naming{judging: test.judging}}
		a.warnAbsent()
		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		if text.Len() == 0 {
			lines = nil
		}
		if len(lines) != len(test.want) {
			t.Errorf("%s: %d lines, want %d:\n%s", name, len(lines), len(test.want), text.String())
			continue
		}
		for i, want := range test.want {
			if !strings.Contains(lines[i], "level=WARN") || !strings.Contains(lines[i], want) {
				t.Errorf("%s: %s, want %s", name, lines[i], want)
			}
		}
	}
}

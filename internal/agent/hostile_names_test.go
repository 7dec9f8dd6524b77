// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"probe/internal/agent"
)

// hostileName is what a program may be called: everything that has a meaning to
// a terminal, to statsd, or to a line of text, and bytes that are no UTF-8.
const hostileName = "ev:il|#@,=;\n\x1b[2J\x1b]0;x\a\"\\\xff\u202e\u009b1m"

// Names of programs reach every output, and break none. The program is deleted
// while it runs, and replaced.
func TestHostileNames(t *testing.T) {
	dir, server := t.TempDir(), filepath.Join(containerRoot(t), "server")
	program, address := named(t, dir, server, hostileName), freeAddress(t)
	cmd := exec.Command(program, address)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer end(cmd)
	pids := []uint32{uint32(cmd.Process.Pid)}
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc/self/mem", program); err != nil {
		t.Fatal(err)
	}

	var text, objects lockedBuffer
	s, state := newSink(t), t.TempDir()
	traces := []*running{
		start(t, agent.Options{Trace: true, Stdout: &text, PIDs: pids}),
		start(t, agent.Options{Trace: true, JSON: true, Stdout: &objects, PIDs: pids}),
	}
	run := start(t, agent.Options{Statsd: s.target(), PIDs: pids, Interval: agent.MinInterval, StateDir: state, Listen: loopback})
	const n = 10
	awaitServer(t, address, n)
	for _, r := range traces {
		r.stop()
	}
	if got := s.await(requests, n); got != n {
		t.Errorf("%d requests exported, want %d", got, n)
	}
	_, shown := get(t, run.address(), "/debug/state")
	run.stop()

	plain(t, []byte(text.String()))
	if got := strings.Count(text.String(), "GET /named 200"); got != n || strings.Count(text.String(), "\n") != n {
		t.Errorf("%d requests in the text %q, want %d", got, text.String(), n)
	}
	_, port, _ := strings.Cut(address, ":")
	want := strings.ToValidUTF8(hostileName, "\ufffd") + "-" + port
	lines := tracedLines(t, objects.String())
	for _, l := range lines {
		if l.Service != want {
			t.Errorf("service %q, want %q", l.Service, want)
		}
	}
	if len(lines) != n {
		t.Errorf("%d objects, want %d", len(lines), n)
	}
	var d agent.Description
	if err := json.Unmarshal([]byte(shown), &d); err != nil || !utf8.ValidString(shown) {
		t.Errorf("state %q: %v", shown, err)
	}
	for _, service := range s.values(requests, "service") {
		if strings.Trim(service, "abcdefghijklmnopqrstuvwxyzJ0123456789:_-@/\"\\.") != "" || len(service) > 200 {
			t.Errorf("tag %q", service)
		}
	}
	for line := range strings.Lines(run.log.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("log line %q", line)
		}
	}
	kept, err := agent.ReadStatus(t.Context(), "", state)
	if err != nil || len(kept.TopSeries) != 1 || kept.TopSeries[0].Requests != n {
		t.Errorf("status %+v, %v", kept, err)
	}
}

// plain fails for a report that has bytes a terminal would act on.
func plain(t *testing.T, report []byte) {
	t.Helper()
	for i, c := range report {
		if c < ' ' && c != '\n' || c == 0x7f {
			t.Errorf("byte %#x at %d of %q", c, i, report[max(0, i-40):min(len(report), i+40)])
			return
		}
	}
	if bytes.Contains(report, []byte("\u009b")) {
		t.Errorf("a control character in %q", report)
	}
}

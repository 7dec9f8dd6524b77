// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"probe/internal/agent"
)

// fullQueue listens with room for 8 connections and lets 5 wait.
func fullQueue(t *testing.T) (port int, stop func()) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	stop = func() {
		if !closed {
			closed = true
			unix.Close(fd)
		}
	}
	t.Cleanup(stop)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 8)); err != nil {
		t.Fatal(err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port = bound.(*unix.SockaddrInet4).Port
	for range 5 {
		c, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
	}
	return port, stop
}

// awaitText waits until the output has a piece of text.
func awaitText(t *testing.T, out *lockedBuffer, text string) {
	t.Helper()
	for range 1000 {
		if strings.Contains(out.String(), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("no %q in the output:\n%s", text, out)
}

// The host's figures leave with the requests: the accept queue as it is, then
// once empty when it is gone, and the answers to outbound calls that failed.
func TestRunExportsHost(t *testing.T) {
	const n = 100
	c := startChild(t)
	port, stop := fullQueue(t)
	out := &lockedBuffer{}
	r := start(t, agent.Options{
		Statsd: "stdout:", Stdout: out, PIDs: []uint32{c.pid}, Role: "both",
		Interval: 3 * agent.MinInterval, SnapshotInterval: agent.MinSnapshotInterval,
	})
	queue := func(figure string, value int) string {
		return fmt.Sprintf("probe.host.accept_queue.%s:%d|g", figure, value)
	}
	awaitLine := func(line string) { awaitText(t, out, line) }
	tags := fmt.Sprintf(",service:port-%d\n", port)
	awaitLine(tags)
	for _, want := range []string{queue("length", 5), queue("limit", 8)} {
		if !hasLine(out.String(), want, tags) {
			t.Errorf("no %s for port %d", want, port)
		}
	}
	for _, name := range []string{"cpu.used_ratio", "memory.used_ratio", "memory.used_bytes", "run_queue", "overloaded", "overload.client_errors"} {
		awaitLine("probe.host." + name + ":")
	}
	stop()
	for range 500 {
		if hasLine(out.String(), queue("length", 0), tags) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if !hasLine(out.String(), queue("length", 0), tags) {
		t.Error("the queue of a port that is gone stays as it was")
	}
	c.request(n)
	for range 500 {
		if sumOf(out.String(), "probe.host.client_errors:") >= n/10 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.stop()
	if got := sumOf(out.String(), "probe.host.client_errors:"); got != n/10 {
		t.Errorf("%d client errors, want %d", got, n/10)
	}
	if sumOf(out.String(), "probe.self.host.samples:") == 0 {
		t.Error("the samples are not counted")
	}
}

// What was seen since the last interval leaves at the end.
func TestRunFlushesHostAtTheEnd(t *testing.T) {
	c, out := startChild(t), &lockedBuffer{}
	r := start(t, agent.Options{
		Statsd: "stdout:", Stdout: out, PIDs: []uint32{c.pid}, SnapshotInterval: agent.MinSnapshotInterval,
	})
	time.Sleep(5 * agent.MinSnapshotInterval)
	if text := out.String(); text != "" {
		t.Errorf("before the first interval ended: %s", text)
	}
	r.stop()
	for _, name := range []string{"probe.host.cpu.used_ratio:", "probe.host.memory.used_ratio:"} {
		if !strings.Contains(out.String(), name) {
			t.Errorf("no %s in:\n%s", name, out)
		}
	}
	// Calls are observed at the server's end only.
	if strings.Contains(out.String(), "overload.client_errors") {
		t.Error("client errors are judged and cannot be known")
	}
}

// Calls that failed after the last look are counted, too.
func TestRunCountsClientErrorsToTheEnd(t *testing.T) {
	const n = 50
	c, out := startChild(t), &lockedBuffer{}
	r := start(t, agent.Options{
		Statsd: "stdout:", Stdout: out, PIDs: []uint32{c.pid}, Role: "both", SnapshotInterval: time.Hour,
	})
	c.request(n)
	r.stop()
	if got := sumOf(out.String(), "probe.host.client_errors:"); got != n/10 {
		t.Errorf("%d client errors, want %d", got, n/10)
	}
	if strings.Contains(out.String(), "probe.host.overloaded:") {
		t.Error("a verdict without a look")
	}
}

// Without an interval the host is left alone.
func TestRunWithoutHost(t *testing.T) {
	c, out := startChild(t), &lockedBuffer{}
	r := start(t, agent.Options{Statsd: "stdout:", Stdout: out, PIDs: []uint32{c.pid}})
	c.request(1)
	r.stop()
	if !strings.Contains(out.String(), requests) || strings.Contains(out.String(), "probe.host.cpu.") {
		t.Errorf("the host was looked at:\n%s", out)
	}
}

func hasLine(text, begin, end string) bool {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, begin) && strings.HasSuffix(line, end) {
			return true
		}
	}
	return false
}

// sumOf adds up the values of a counter's lines.
func sumOf(text, begin string) (sum int) {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, begin); found {
			value, _, _ := strings.Cut(rest, "|")
			n, _ := strconv.Atoi(value)
			sum += n
		}
	}
	return sum
}

// A snapshot shows the full queue, and says that it is under pressure.
func TestSnapshotSeesFullQueue(t *testing.T) {
	port, _ := fullQueue(t)
	var out bytes.Buffer
	o := agent.SnapshotOptions{Interval: agent.MinSnapshotInterval, JSON: true, Stdout: &out}
	if err := agent.Snapshot(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Time       time.Time
		Host       string
		IntervalNS time.Duration `json:"interval_ns"`
		CPU        *struct {
			UsedRatio float64 `json:"used_ratio"`
		}
		Memory *struct {
			TotalBytes uint64 `json:"total_bytes"`
		}
		Listen struct {
			Sockets []struct{ Port, Length, Limit int }
		}
		UnderPressure []struct{ Resource, Subject, Reason string } `json:"under_pressure"`
		NotAvailable  []struct{ Source, Reason string }            `json:"not_available"`
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %s", err, out.Bytes())
	}
	if d := time.Since(got.Time); d < 0 || d > time.Minute || got.Host == "" || got.IntervalNS < o.Interval || got.CPU == nil || got.Memory == nil {
		t.Errorf("snapshot %s", out.Bytes())
	}
	seen := false
	for _, s := range got.Listen.Sockets {
		seen = seen || s.Port == port && s.Length == 5 && s.Limit == 8
	}
	pressed := false
	for _, p := range got.UnderPressure {
		pressed = pressed || p.Resource == "listen" && p.Subject == fmt.Sprintf("127.0.0.1:%d", port) && p.Reason != ""
	}
	if !seen || !pressed {
		t.Errorf("queue seen: %v, under pressure: %v in %s", seen, pressed, out.Bytes())
	}
	for _, m := range got.NotAvailable {
		if m.Source == "" || m.Reason == "" {
			t.Errorf("not available without a reason: %+v", m)
		}
	}
}

func TestSnapshotStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := agent.Snapshot(ctx, agent.SnapshotOptions{Interval: time.Hour, Stdout: &bytes.Buffer{}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("stopped snapshot: %v", err)
	}
	if err := agent.Snapshot(ctx, agent.SnapshotOptions{Interval: 1}); !errors.Is(err, agent.ErrUsage) {
		t.Errorf("interval of 1 ns: %v", err)
	}
}

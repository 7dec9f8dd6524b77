// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"probe/pkg/export"
	"probe/pkg/loader"
	"probe/pkg/stats"
)

// ending is an agent at its end, with nothing in the kernel.
func ending(t *testing.T, limit time.Duration) (*Agent, *bytes.Buffer) {
	t.Helper()
	t.Setenv("STATSD_HOST", "")
	var text bytes.Buffer
	a, err := build(Options{
		Role: "server", Source: "auto", Interval: time.Hour, ShutdownTimeout: limit,
		Statsd: "stdout:", Dialect: "plain", Stdout: io.Discard, Log: slog.New(slog.NewTextHandler(&text, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return a, &text
}

// The delivery before the last one hangs: what is lost with it fails the agent.
func TestLastIntervalBehindAStuckDelivery(t *testing.T) {
	a, _ := ending(t, 20*time.Millisecond)
	a.deliver.start(job{}) // nobody takes it
	if err := a.lastDelivery(); err == nil || !strings.Contains(err.Error(), "last interval not delivered") {
		t.Errorf("ended with %v, want that the last interval is lost", err)
	}
	if got := a.deliver.lost.Load(); got != 1 {
		t.Errorf("%d intervals lost, want 1", got)
	}
}

// The last interval is lost: where the agent writes itself that is its failure.
func TestLastIntervalLost(t *testing.T) {
	full := errors.New("no space left")
	for statsd, want := range map[string]error{
		"": full, "stdout:": full, "file:///var/log/lines": full, "udp://127.0.0.1:1": nil, "unixgram:///run/socket": nil, "tcp://127.0.0.1:1": nil,
	} {
		a, text := ending(t, time.Second)
		a.useExporter(newScripted(func() error { return full }))
		a.live.Statsd = statsd
		if err := a.lastDelivery(); !errors.Is(err, want) {
			t.Errorf("%s: ended with %v, want %v", statsd, err, want)
		}
		if logged := strings.Contains(text.String(), "no space left"); logged != (want == nil) {
			t.Errorf("%s: in the log %v, want it told once:\n%s", statsd, logged, text)
		}
	}
}

// losingAtEnd loses lines when it is closed, as a queue without a spool does.
type losingAtEnd struct{ lost uint64 }

func (x *losingAtEnd) Export(context.Context, *stats.Snapshot) error { return nil }
func (x *losingAtEnd) Status() export.Status                         { return export.Status{} }
func (x *losingAtEnd) Counters() export.Counters                     { return export.Counters{DroppedClosed: x.lost} }
func (x *losingAtEnd) Close(context.Context) error                   { x.lost = 7; return nil }

// No interval follows that could say what the end itself has lost: the last log
// line does.
func TestLossAtTheEndIsLogged(t *testing.T) {
	a, text := ending(t, time.Second)
	a.useExporter(new(losingAtEnd))
	a.reportExport(func(name string, value uint64) {
		a.counters = append(a.counters, loader.Counter{Name: name, Value: value})
	})
	if err := a.lastDelivery(); err != nil {
		t.Fatal(err)
	}
	a.logSummary("totals")
	if !strings.Contains(text.String(), "export.dropped.closed=7") {
		t.Errorf("log without the loss:\n%s", text)
	}
}

// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
	"probe/pkg/stats"
)

func TestStdout(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	x := newExporter(t, Options{Stdout: &out, Host: "h"})
	s := &stats.Snapshot{
		Self:     []stats.SelfValue{{Name: "stats.requests", Delta: 7}, {Name: "drops.ring"}},
		InFlight: []stats.InFlight{{Service: "shop", Role: events.RoleServer, N: 2}},
		Series:   []stats.Series{*oneSeries(2)},
	}
	if err := x.Export(context.Background(), s); err != nil {
		t.Fatal(err)
	}
	const name = "probe.h.shop.http.server.users_id.GET.200."
	want := strings.Join([]string{
		"probe.self.stats.requests:7|c",
		"probe.h.shop.http.server.in_flight:2|g",
		name + "requests:7|c",
		name + "errors:1|c",
		name + "request_bytes:700|c",
		name + "response_bytes:70000|c",
		name + "duration:12.345678|ms|@0.5",
		name + "ttfb:1.5|ms|@0.5",
		name + "wait.accept:0|ms|@0.5",
		name + "wait.socket:0.000001|ms|@0.5",
		name + "wait.socket:2000|ms|@0.5",
	}, "\n") + "\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	c := x.Counters()
	if c.LinesSent != 11 || c.BytesSent != uint64(out.Len()) || c.PacketsSent != 1 {
		t.Errorf("counters = %+v", c)
	}
}

// brokenWriter fails from the second write on.
type brokenWriter struct{ writes int }

func (w *brokenWriter) Write(p []byte) (int, error) {
	w.writes++
	if w.writes > 1 {
		return 0, errors.New("broken pipe")
	}
	return len(p), nil
}

func TestStdoutErrorsAreCounted(t *testing.T) {
	t.Parallel()
	x := newExporter(t, Options{Stdout: &brokenWriter{}})
	if err := x.Export(context.Background(), oneLine()); err != nil {
		t.Error(err)
	}
	err := x.Export(context.Background(), many())
	if err == nil || !strings.Contains(err.Error(), "export to stdout: 300 lines dropped: write lines: broken pipe") {
		t.Errorf("error = %v", err)
	}
	if c := x.Counters(); c.ErrorsOther != 1 {
		t.Errorf("counters = %+v", c)
	}
	checkBooks(t, x, 301)
}

// An interval without a line loses none, and says only what is wrong.
func TestNothingToSendIsNotDropped(t *testing.T) {
	t.Parallel()
	x := newExporter(t, Options{Target: Target{Scheme: Unixgram, Path: "/nowhere/socket"}, Now: (&testClock{}).Now})
	err := x.Export(context.Background(), &stats.Snapshot{})
	if !errors.Is(err, errDown) || strings.Contains(err.Error(), "dropped") {
		t.Errorf("error = %v, want one about the receiver only", err)
	}
	if err := x.Export(context.Background(), oneLine()); err == nil || !strings.Contains(err.Error(), "1 lines dropped") {
		t.Errorf("error = %v, want the line that was lost", err)
	}
}

// They are counted, and said: with long tags it may be all of them.
func TestLinesTooLongAreCounted(t *testing.T) {
	t.Parallel()
	server := listen(t, "127.0.0.1", 0)
	x := newExporter(t, Options{
		Target: Target{Scheme: UDP, Host: "127.0.0.1", Port: server.port()}, Now: (&testClock{}).Now, MaxPayload: 16,
	})
	s := oneLine()
	s.Self = append(s.Self, stats.SelfValue{Name: "much_too_long", Delta: 1})
	for range 2 {
		if err := x.Export(context.Background(), s); err == nil || !strings.Contains(err.Error(), "1 lines dropped: longer than a payload of 16 bytes") {
			t.Errorf("error = %v", err)
		}
	}
	if c, st := x.Counters(), x.Status(); c.LinesTooLong != 2 || !st.Connected {
		t.Errorf("counters = %+v, status %+v", c, st)
	}
	checkBooks(t, x, 4)
	server.lines(t, 2)
}

// The Exporter's own counters come back through the Recorder.
func TestOwnCountersAreInTheNextSnapshot(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	x := newExporter(t, Options{Stdout: &out})
	r := stats.New(stats.Options{})
	for range 3 {
		x.Counters().Report(r.SetSelf)
		if err := x.Export(context.Background(), r.Flush()); err != nil {
			t.Fatal(err)
		}
		r.Record(&events.Request{Role: events.RoleServer, Duration: time.Millisecond})
	}
	var sum float64
	for _, p := range parseAll(t, out.Bytes(), Plain) {
		if p.Name == "probe.self.export.lines_sent" {
			sum += p.Value
		}
	}
	// Interval 1 has no line. The first counters leave with interval 3.
	if c := x.Counters(); c.LinesSent == 0 || sum == 0 || sum >= float64(c.LinesSent) {
		t.Errorf("exported %v lines of %+v", sum, c)
	}
}

func TestClosedExporter(t *testing.T) {
	t.Parallel()
	x := newExporter(t, Options{Stdout: new(bytes.Buffer)})
	for range 2 {
		if err := x.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if err := x.Export(context.Background(), oneLine()); !errors.Is(err, ErrClosed) {
		t.Errorf("error = %v, want ErrClosed", err)
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	now := (&testClock{}).Now
	for name, opt := range map[string]Options{
		"dialect":     {Dialect: "morse"},
		"payload":     {MaxPayload: 65508},
		"no payload":  {MaxPayload: -1},
		"no path":     {Target: Target{Scheme: Unix}, Now: now},
		"short queue": {QueueBytes: 1000},
		"age":         {QueueAge: -1},
		"short spool": {SpoolBytes: 1000},
		"spool UDP":   {Target: Target{Scheme: UDP, Host: "h", Port: 1}, Now: now, SpoolDir: "/x", Wall: time.Now},
		"spool clock": {Target: Target{Scheme: TCP, Host: "h", Port: 1}, Now: now, SpoolDir: "/x"},
		"template":    {Template: "{metric}.{x}"},
		"tag":         {Tags: []Tag{{"host", "x"}}},
		"no clock":    {Target: Target{Scheme: UDP, Host: "h", Port: 1}},
		"no host":     {Target: Target{Scheme: UDP, Host: "", Port: 1}, Now: now},
		"no port":     {Target: Target{Scheme: UDP, Host: "h", Port: 0}, Now: now},
		"bad scheme":  {Target: Target{Scheme: "pigeon", Host: "h", Port: 1}, Now: now},
		"bad dialect": {Target: Target{Scheme: UDP, Host: "h", Port: 1}, Now: now, Dialect: "x"},
	} {
		if x, err := New(opt); err == nil || x != nil {
			t.Errorf("%s: New = %v, %v", name, x, err)
		}
	}
}

// export is Export for tests that have no context.
func (x *Exporter) export(s *stats.Snapshot) error { return x.Export(context.Background(), s) }

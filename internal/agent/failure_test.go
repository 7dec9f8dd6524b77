// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"probe/internal/testutil"
	"probe/pkg/events"
)

// failing runs an agent that has counted one request, makes it fail in its
// pipeline, and returns how it ended and what it had sent by then.
func failing(t *testing.T, fail func(*Agent)) (err error, sent string) {
	t.Helper()
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	var out bytes.Buffer
	a, err := build(Options{
		Role: "server", Source: "auto", Interval: time.Hour, ShutdownTimeout: DefaultShutdownTimeout,
		PIDs: []uint32{1}, Statsd: "stdout:", Dialect: "dogstatsd", Stdout: &out, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.run(context.Background()) }()
	<-a.attached
	_, err = ask(t.Context(), a.mailbox, func() struct{} {
		a.stats.Record(&events.Request{Role: events.RoleServer, Status: 200, Duration: time.Millisecond, Service: "survivor"})
		fail(a)
		return struct{}{}
	})
	_ = err // a pipeline that panics does not answer
	select {
	case err = <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("the agent does not end")
	}
	return err, out.String()
}

// The kernel side is lost: the agent ends with the error, and what it had
// counted still leaves.
func TestLossOfTheReaderEndsTheAgent(t *testing.T) {
	err, sent := failing(t, func(a *Agent) {
		if err := a.kernel.Close(); err != nil {
			t.Error(err)
		}
	})
	if err == nil || !strings.Contains(err.Error(), "read the ring buffer") {
		t.Errorf("ended with %v, want the reader's error", err)
	}
	if !strings.Contains(sent, "requests:1|c") || !strings.Contains(sent, "service:survivor") {
		t.Errorf("the last interval was not sent:\n%s", sent)
	}
}

// So does a panic in the pipeline.
func TestPanicEndsTheAgent(t *testing.T) {
	err, sent := failing(t, func(*Agent) { panic("broken") })
	if err == nil || !strings.Contains(err.Error(), "the pipeline panicked: broken") {
		t.Errorf("ended with %v, want the panic", err)
	}
	if !strings.Contains(sent, "service:survivor") {
		t.Errorf("the last interval was not sent:\n%s", sent)
	}
}

// A trace that nobody takes any more ends with one error.
func TestLossOfTheOutputEndsTheTrace(t *testing.T) {
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	a, err := build(Options{
		Role: "server", Source: "auto", Trace: true, ShutdownTimeout: DefaultShutdownTimeout,
		PIDs: []uint32{1}, Stdout: fullDisk{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.run(context.Background()) }()
	<-a.attached
	if _, err := ask(t.Context(), a.mailbox, func() struct{} {
		a.trace.Print(&events.Request{Role: events.RoleServer, Status: 200, Duration: time.Millisecond, Conn: new(events.Conn)})
		return struct{}{}
	}); err != nil {
		t.Error(err)
	}
	select {
	case err = <-ended:
	case <-time.After(30 * time.Second):
		t.Fatal("the agent does not end")
	}
	if !errors.Is(err, syscall.ENOSPC) || strings.Count(err.Error(), "write access log:") != 1 {
		t.Errorf("ended with %v, want the error once", err)
	}
}

// fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"probe/pkg/export"
)

// losing is an exporter with a number of lines lost.
type losing struct {
	scriptedExporter
	lost uint64
}

func (x *losing) Counters() export.Counters { return export.Counters{LinesDropped: x.lost} }

// A receiver that is away for ten minutes, as datagrams see it: the log has a
// line a minute, and every interval and line that was lost is in one of them.
func TestComplaints(t *testing.T) {
	var text bytes.Buffer
	c := complaints{log: slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))}
	logged := func() string {
		defer text.Reset()
		return strings.TrimSpace(text.String())
	}
	x := new(losing)
	now := uint64(10 * second)
	after := func(seconds int, err error) string {
		now += uint64(seconds) * second
		if err != nil {
			x.lost += 5
		}
		c.note(x, err, now)
		return logged()
	}
	refused := errors.New("refused")
	if got := after(10, nil); got != "" {
		t.Errorf("all is well: %s", got)
	}
	if got := after(10, refused); got != `level=WARN msg="statsd delivery failed" error=refused intervals=1 lines_lost=5` {
		t.Errorf("at first: %s", got)
	}
	lines := 0
	for i := range 60 {
		var err error
		if i%3 != 0 {
			err = refused
		}
		got := after(10, err)
		if got == "" {
			continue
		}
		if lines++; got != `level=WARN msg="statsd delivery failed" error=refused intervals=4 lines_lost=20` {
			t.Errorf("line %d: %s", lines, got)
		}
	}
	if lines != 10 {
		t.Errorf("%d lines in 10 minutes, want 10", lines)
	}
	after(10, refused)
	for i := range 12 {
		want := map[int]string{
			4: `level=WARN msg="statsd delivery failed" error=refused intervals=1 lines_lost=5`, // a minute after the line before
			5: `level=INFO msg="statsd delivery works again" intervals=0 lines_lost=0`,
		}[i]
		if got := after(10, nil); got != want {
			t.Errorf("%d s after the last failure: %q, want %q", 10*(i+1), got, want)
		}
	}
	if got := after(10, refused); !strings.Contains(got, "intervals=1 lines_lost=5") {
		t.Errorf("away again: %s", got)
	}
	x = new(losing)
	if got := after(1, fmt.Errorf("another: %w", refused)); !strings.Contains(got, "another: refused") {
		t.Errorf("another exporter: %q, want its own first line", got)
	}
}

// A delivery notes how it went.
func TestDeliveryComplainsOnce(t *testing.T) {
	var text bytes.Buffer
	p := newParts()
	d := newDelivery(&p.exporter, func() uint64 { return second }, slog.New(slog.NewTextHandler(&text, nil)))
	fail := func() error { return errors.New("unreachable") }
	x := newScripted(fail, fail, fail)
	for range 3 {
		d.deliver(t.Context(), job{export: x, done: make(chan struct{})})
	}
	if n := strings.Count(text.String(), "statsd delivery failed"); n != 1 {
		t.Errorf("%d lines, want 1:\n%s", n, text.String())
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"
	"time"

	"probe/internal/agent"
)

// Services, and the state they are read from, are others' choice.
func TestStatusIsPlain(t *testing.T) {
	const name = "evil\x1b[2J\n\x00\xff"
	s := agent.Status{
		Known: true, Starts: 1, Version: name, Problems: []string{name},
		TopSeries: []agent.SeriesFigures{{Service: name, Route: name, Method: name, Requests: 1}},
	}
	s.SavedAt = s.SavedAt.AddDate(1, 0, 0)
	var out bytes.Buffer
	if err := printStatus(&out, s); err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(out.Bytes(), []byte("evil?[2J???")); got != 5 {
		t.Errorf("%d names in %q, want 5", got, out.String())
	}
	if bytes.ContainsAny(out.Bytes(), "\x1b\x00") {
		t.Errorf("control characters in %q", out.String())
	}
}

// What is printed has no digits that the figure does not have.
func TestShortDuration(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		0:                    0,
		499:                  0,
		861_391:              861 * time.Microsecond,
		9_999_499:            9_999 * time.Microsecond,
		12_345_678:           12_350 * time.Microsecond,
		203_619_846:          203_600 * time.Microsecond,
		61_234 * time.Second: 61_230 * time.Second,
		1<<63 - 1:            9_223_000_000 * time.Second,
	} {
		if got := short(d); got != want {
			t.Errorf("short(%d) = %v, want %v", d, got, want)
		}
	}
}

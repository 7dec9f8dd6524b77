// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"

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

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"probe/scripts/process"
)

// traceLine is one line of `probe trace --json`.
type traceLine struct {
	Time          string   `json:"time"`
	Role          string   `json:"role"`
	PID           int      `json:"pid"`
	TID           int      `json:"tid"`
	Comm          string   `json:"comm"`
	Local         string   `json:"local"`
	Remote        string   `json:"remote"`
	Method        string   `json:"method"`
	Target        string   `json:"target"`
	Status        int      `json:"status"`
	Outcome       string   `json:"outcome"`
	Duration      int64    `json:"duration_ns"`
	TTFB          int64    `json:"ttfb_ns"`
	RequestBytes  int64    `json:"request_bytes"`
	ResponseBytes int64    `json:"response_bytes"`
	Flags         []string `json:"flags"`
	Wait          struct {
		Accept int64 `json:"accept_ns"`
		Socket int64 `json:"socket_ns"`
	} `json:"wait"`

	number int // position in the output
}

// tracer runs the probe; the zero path means there is none.
type tracer struct {
	path   string
	source string
	extra  []string
}

// tracing is one running probe.
type tracing struct{ probe *process.Probe }

// start runs `probe trace` with the given arguments and waits until it is
// attached. It returns nil when there is no probe.
func (t tracer) start(dir, role string, args ...string) (*tracing, error) {
	if t.path == "" {
		return nil, nil
	}
	all := append([]string{"--capture-query", "--role", role}, args...)
	if t.source != "" {
		all = append(all, "--source", t.source)
	}
	p, err := process.StartProbe(dir, t.path, append(all, t.extra...)...)
	if err != nil {
		return nil, err
	}
	return &tracing{p}, nil
}

// finish stops the probe after a moment and returns what it printed.
func (t *tracing) finish() ([]traceLine, error) {
	if t == nil {
		return nil, nil
	}
	if err := t.probe.Finish(); err != nil {
		return nil, err
	}
	return readTrace(t.probe.Stdout)
}

func readTrace(path string) ([]traceLine, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open trace: %w", err)
	}
	defer f.Close()
	var lines []traceLine
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		l := traceLine{number: len(lines)}
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("trace line %d: %w: %s", len(lines)+1, err, s.Text())
		}
		lines = append(lines, l)
	}
	return lines, s.Err()
}

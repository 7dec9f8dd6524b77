// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
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
type tracing struct {
	proc *process
	out  string
	log  string
}

const (
	attachTimeout = 30 * time.Second
	// settleTime lets the last events of a behaviour (a server that notices a
	// lost client, a close) reach the probe before it is stopped.
	settleTime  = 700 * time.Millisecond
	stopTimeout = 30 * time.Second
)

// start runs `probe trace` with the given arguments and waits until it is
// attached. It returns nil when there is no probe.
func (t tracer) start(dir, role string, args ...string) (*tracing, error) {
	if t.path == "" {
		return nil, nil
	}
	ready := filepath.Join(dir, "ready")
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove ready file: %w", err)
	}
	all := append([]string{"trace", "--json", "--capture-query", "--role", role, "--ready-file", ready}, args...)
	if t.source != "" {
		all = append(all, "--source", t.source)
	}
	all = append(all, t.extra...)
	proc, err := startProcess(dir, "probe", nil, t.path, all...)
	if err != nil {
		return nil, err
	}
	run := &tracing{proc: proc, out: proc.stdout, log: proc.stderr}
	for deadline := time.Now().Add(attachTimeout); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			return run, nil
		}
		if proc.ended() || time.Now().After(deadline) {
			proc.stop()
			return nil, fmt.Errorf("the probe did not attach: %s", tail(proc.stderr))
		}
	}
}

// finish stops the probe after a moment and returns what it printed.
func (t *tracing) finish() ([]traceLine, error) {
	if t == nil {
		return nil, nil
	}
	time.Sleep(settleTime)
	if t.proc.ended() {
		return nil, fmt.Errorf("the probe ended by itself: %s", tail(t.log))
	}
	if err := syscall.Kill(t.proc.cmd.Process.Pid, syscall.SIGTERM); err != nil {
		return nil, fmt.Errorf("stop the probe: %w", err)
	}
	if !t.proc.wait(stopTimeout) {
		t.proc.stop()
		return nil, errors.New("the probe did not stop on SIGTERM")
	}
	if code := t.proc.cmd.ProcessState.ExitCode(); code != 0 {
		return nil, fmt.Errorf("the probe ended with code %d: %s", code, tail(t.log))
	}
	return readTrace(t.out)
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

// tail returns the end of a log, for error messages.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	const most = 2000
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return strings.TrimSpace(string(b))
}

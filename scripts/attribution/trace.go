// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// traceLine is what is used of a line of `probe trace --json`.
type traceLine struct {
	Target      string        `json:"target"`
	Duration    time.Duration `json:"duration_ns"`
	Attribution string        `json:"attribution"`
	Wait        struct {
		Accept       time.Duration `json:"accept_ns"`
		Socket       time.Duration `json:"socket_ns"`
		CPU          time.Duration `json:"cpu_ns"`
		RunQ         time.Duration `json:"runq_ns"`
		Throttled    time.Duration `json:"throttled_ns"`
		Memory       time.Duration `json:"memory_ns"`
		Unattributed time.Duration `json:"unattributed_ns"`
		Blocked      struct {
			Lock  time.Duration `json:"lock_ns"`
			Disk  time.Duration `json:"disk_ns"`
			Net   time.Duration `json:"net_ns"`
			Sleep time.Duration `json:"sleep_ns"`
			Other time.Duration `json:"other_ns"`
		} `json:"blocked"`
	} `json:"wait"`
	PushedBy struct {
		PID    int           `json:"pid"`
		Cgroup string        `json:"cgroup"`
		For    time.Duration `json:"ns"`
	} `json:"pushed_by"`
}

func (l *traceLine) split() split {
	w := &l.Wait
	return split{
		cpu: w.CPU, runq: w.RunQ, throttled: w.Throttled, memory: w.Memory,
		lock: w.Blocked.Lock, disk: w.Blocked.Disk, network: w.Blocked.Net,
		sleep: w.Blocked.Sleep, other: w.Blocked.Other, unattributed: w.Unattributed,
	}
}

// served is the time from the read of the request to the end of the answer.
func (l *traceLine) served() time.Duration { return l.Duration - l.Wait.Accept - l.Wait.Socket }

// adds reports by how much the parts differ from the whole.
func (l *traceLine) adds() time.Duration {
	sum := l.Wait.Accept + l.Wait.Socket
	for _, d := range l.split() {
		sum += d
	}
	return sum - l.Duration
}

// readTrace calls f for every line of a trace.
func readTrace(path string, f func(*traceLine)) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open trace: %w", err)
	}
	defer file.Close()
	s := bufio.NewScanner(file)
	s.Buffer(nil, 1<<20)
	for n := 1; s.Scan(); n++ {
		var l traceLine
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			return fmt.Errorf("trace line %d: %w: %s", n, err, s.Text())
		}
		f(&l)
	}
	return s.Err()
}

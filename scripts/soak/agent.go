// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"

	"probe/scripts/process"
)

// agentOptions say how `probe run` is started.
type agentOptions struct {
	name   string // of its files
	wrap   []string
	statsd string
	state  string // directory; "" for none
	args   []string
}

// agent is the `probe run` under test.
type agent struct {
	*process.Probe
	listen string
	path   string
	state  string
}

// startAgent starts one and waits until it is attached.
func startAgent(dir, path string, o agentOptions) (*agent, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	a := &agent{listen: fmt.Sprintf("127.0.0.1:%d", port), path: path, state: o.state}
	command := append(o.wrap, path, "run", "--statsd", o.statsd, "--statsd-dialect", "dogstatsd", "--prefix", prefix,
		"--listen", a.listen, "--log-format", "json")
	if o.state != "" {
		command = append(command, "--state-dir", o.state)
	}
	a.Probe, err = process.StartAttached(dir, o.name, append(command, o.args...)...)
	return a, err
}

// finish ends it as it should be ended, and returns the totals that it logs.
func (a *agent) finish() (totals, error) {
	if err := a.Finish(); err != nil {
		return totals{}, err
	}
	for _, line := range a.log() {
		if line.Msg == "totals" {
			return line.totals, nil
		}
	}
	return totals{}, fmt.Errorf("the probe logs no totals: %s", process.Tail(a.Stderr))
}

// totals are what the agent says at its end.
type totals struct {
	Finished uint64 `json:"finished"`
	Failed   uint64 `json:"failed"`
	Pending  uint64 `json:"pending"`
}

// logLine is a line of its log.
type logLine struct {
	Time  time.Time `json:"time"`
	Level string    `json:"level"`
	Msg   string    `json:"msg"`
	Error string    `json:"error"`
	totals
}

// log is what it has logged; lines that are no JSON (a panic) are at level FATAL.
func (a *agent) log() []logLine {
	text, err := os.ReadFile(a.Stderr)
	if err != nil {
		return []logLine{{Level: "FATAL", Msg: err.Error()}}
	}
	var lines []logLine
	for line := range bytes.Lines(text) {
		var l logLine
		if err := json.Unmarshal(line, &l); err != nil {
			l = logLine{Level: "FATAL", Msg: string(line)}
		}
		lines = append(lines, l)
	}
	return lines
}

// said are the lines of the log with a text in message or error.
func (a *agent) said(text string) []logLine {
	var found []logLine
	for _, l := range a.log() {
		if strings.Contains(l.Msg, text) || strings.Contains(l.Error, text) {
			found = append(found, l)
		}
	}
	return found
}

func (a *agent) get(path string) ([]byte, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + a.listen + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// metrics are those of its endpoint, by name and labels.
func (a *agent) metrics() (map[string]float64, error) {
	text, err := a.get("/metrics")
	if err != nil {
		return nil, err
	}
	found := map[string]float64{}
	s := bufio.NewScanner(bytes.NewReader(text))
	for s.Scan() {
		at := strings.LastIndexByte(s.Text(), ' ')
		if at < 0 || strings.HasPrefix(s.Text(), "#") {
			continue
		}
		v, err := strconv.ParseFloat(s.Text()[at+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("read metrics: %w", err)
		}
		found[s.Text()[:at]] = v
	}
	return found, s.Err()
}

// insight is a part of /debug/state.
type insight struct {
	Problems []string `json:"problems"`
	Answers  bool     `json:"pipeline_answers"`
	Open     uint64   `json:"open"`
	Series   int      `json:"series"`
	Summary  struct {
		Max time.Duration `json:"max_ns"`
	} `json:"summary"`
	Counters map[string]uint64 `json:"counters"`
	Parts    map[string]struct {
		Stuck    bool   `json:"stuck"`
		Restarts uint64 `json:"restarts"`
	} `json:"parts"`
}

func (a *agent) insight() (insight, error) {
	var in insight
	text, err := a.get("/debug/state")
	if err == nil {
		err = json.Unmarshal(text, &in)
	}
	return in, err
}

// kept is what `probe status` says of the state directory.
type kept struct {
	Running bool   `json:"running"`
	Starts  uint64 `json:"starts"`
	Totals  map[string]struct {
		Requests uint64 `json:"requests"`
	} `json:"totals"`
}

func (k kept) requests() uint64 { return k.Totals["server"].Requests }

func (a *agent) kept() (kept, error) {
	var k kept
	out, err := exec.Command(a.path, "status", "--state-dir", a.state, "--json").Output()
	if err == nil {
		err = json.Unmarshal(out, &k)
	}
	if err != nil {
		return k, fmt.Errorf("probe status: %w", err)
	}
	return k, nil
}

// memory is its resident memory, in bytes.
func (a *agent) memory() (uint64, error) {
	p, err := procfs.NewProc(a.PID())
	if err != nil {
		return 0, fmt.Errorf("read the probe's memory: %w", err)
	}
	status, err := p.NewStatus()
	if err != nil {
		return 0, fmt.Errorf("read the probe's memory: %w", err)
	}
	return status.VmRSS, nil
}

// mib for reading.
func mib(bytes uint64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

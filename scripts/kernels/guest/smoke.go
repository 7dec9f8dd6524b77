// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"probe/scripts/kernels/result"
)

const (
	probePath = "/probe"
	selfPath  = "/init"
	readyFile = "/tmp/ready"
	patience  = 120 * time.Second // an emulated CPU is slow
)

// trace compares what probe trace prints with what the client counted.
func trace(source, detail string) result.Check {
	c := result.Check{Kind: result.KindTrace, Source: source, Detail: detail}
	sent, output, log, err := observe("trace", "--json", "--source", source, "--detail", detail)
	c.Unsupported = strings.Contains(log, "not supported by this kernel")
	c.Requests, c.Missed, c.LeftOut = len(sent), total(log, recursion), total(log, raced)
	if err != nil {
		c.Problems = append(c.Problems, err.Error(), lastLines(log, 10))
		return c
	}
	got, timed, problems := readTrace(output, c.LeftOut > 0)
	c.Timed = timed
	untold, wrong := differences(sent, got)
	if c.Untold = len(untold); c.Untold > mayBeUntold(c) {
		wrong = append(untold, wrong...)
	}
	c.Problems = append(problems, firstOf(wrong)...)
	if len(c.Problems) > 0 {
		c.Problems = append(c.Problems, lastLines(log, 10))
	}
	c.Missing = warnings(log)
	return c
}

// runDefault starts probe run as people do, without a flag about the kernel.
func runDefault() result.Check {
	c := result.Check{Kind: result.KindRun, Source: "auto", Detail: "basic"}
	sent, output, log, err := observe("run", "--statsd-dialect", "dogstatsd", "--interval", "500ms")
	c.Requests, c.Missed, c.LeftOut = len(sent), total(log, recursion), total(log, raced)
	c.Missing = warnings(log)
	if err != nil {
		c.Problems = append(c.Problems, err.Error(), lastLines(log, 10))
		return c
	}
	counted := 0
	for line := range strings.Lines(output) {
		_, rest, found := strings.Cut(line, "http.server.requests:")
		n := 0
		if !found {
			continue
		}
		if _, err := fmt.Sscanf(rest, "%d|c", &n); err != nil {
			c.Problems = append(c.Problems, fmt.Sprintf("unreadable line %q", line))
		}
		counted += n
	}
	c.Untold = max(0, len(sent)-counted)
	if counted > len(sent) || c.Untold > mayBeUntold(c) {
		c.Problems = append(c.Problems, fmt.Sprintf("probe run counted %d requests, the client sent %d", counted, len(sent)), lastLines(log, 10))
	}
	return c
}

// observe runs probe with these arguments while the client sends its requests
// to the server, and ends probe as an operator would.
func observe(args ...string) (sent []exchange, output, log string, err error) {
	server := exec.Command(selfPath, argServer)
	if err := server.Start(); err != nil {
		return nil, "", "", fmt.Errorf("start the server: %w", err)
	}
	defer func() { err = errors.Join(err, server.Process.Kill()); _ = server.Wait() }()
	if err := await(func() bool { return listening() }); err != nil {
		return nil, "", "", fmt.Errorf("the server does not listen: %w", err)
	}
	var stdout, stderr bytes.Buffer
	probe := exec.Command(probePath, append(args, "--ready-file", readyFile)...)
	probe.Stdout, probe.Stderr = &stdout, &stderr
	if err := probe.Start(); err != nil {
		return nil, "", "", fmt.Errorf("start probe: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- probe.Wait() }()
	err = await(func() bool { _, err := os.Stat(readyFile); return err == nil || len(ended) > 0 })
	if err == nil && len(ended) == 0 {
		sent, err = play()
		time.Sleep(time.Second) // the last close
		err = errors.Join(err, probe.Process.Signal(syscall.SIGTERM))
	}
	select {
	case e := <-ended:
		if e != nil {
			e = fmt.Errorf("probe: %w", e)
		}
		err = errors.Join(err, e)
	case <-time.After(patience):
		err = errors.Join(err, errors.New("probe does not end"), probe.Process.Kill())
		<-ended
	}
	return sent, stdout.String(), stderr.String(), err
}

func play() ([]exchange, error) {
	out, err := exec.Command(selfPath, argClient).Output()
	if err != nil {
		return nil, fmt.Errorf("the client: %w", err)
	}
	var all []exchange
	for line := range bytes.Lines(out) {
		var e exchange
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("the client printed %q: %w", line, err)
		}
		all = append(all, e)
	}
	if len(all) != requestCount {
		return nil, fmt.Errorf("the client sent %d requests, want %d", len(all), requestCount)
	}
	return all, nil
}

func listening() bool {
	conn, err := net.Dial("tcp", serverAddr)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

func await(condition func() bool) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if condition() {
			return nil
		}
	}
	return fmt.Errorf("nothing after %v", patience)
}

// warnings are the lines of probe's log that tell of something missing.
func warnings(log string) []string {
	var all []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "level=WARN") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}

// What the log says of calls that were not looked at.
const (
	recursion = "kernel.dropped.recursion="
	raced     = "kernel.raced="
)

// total reads the last one in probe's log; what is 0 is not there.
func total(log, key string) int {
	n := 0
	if at := strings.LastIndex(log, key); at >= 0 {
		_, _ = fmt.Sscanf(log[at+len(key):], "%d", &n) // unreadable is none: then inexact is a failure
	}
	return n
}

// differences of two sets of exchanges, whose targets are unique: what was not printed,
// and what is not as it was sent.
func differences(want, got []exchange) (untold, wrong []string) {
	byTarget := map[string][]exchange{}
	for _, g := range got {
		byTarget[g.Target] = append(byTarget[g.Target], g)
	}
	for _, w := range want {
		switch g := byTarget[w.Target]; {
		case len(g) == 0:
			untold = append(untold, fmt.Sprintf("want %v, printed nothing", w))
		case len(g) > 1 || g[0] != w:
			wrong = append(wrong, fmt.Sprintf("want %v, printed %v", w, g))
		}
		delete(byTarget, w.Target)
	}
	for target := range byTarget {
		wrong = append(wrong, fmt.Sprintf("printed and never sent: %v", byTarget[target]))
	}
	return untold, wrong
}

// mayBeUntold: a call that is left out is of one request, or of two.
func mayBeUntold(c result.Check) int { return 2 * c.LeftOut }

// firstOf keeps a long list short.
func firstOf(all []string) []string {
	const most = 10
	slices.Sort(all)
	if len(all) > most {
		all = append(all[:most], fmt.Sprintf("and %d more", len(all)-most))
	}
	return all
}

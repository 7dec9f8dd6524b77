// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// child is a process; it ends when this program does, for whatever reason.
type child struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer // read it after the end only
	done   chan struct{}
}

func startChild(program string, args ...string) (*child, error) {
	p := &child{cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Stderr = &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// PROBE_ and STATSD_ variables would change what is measured.
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PROBE_") && !strings.HasPrefix(v, "STATSD_") {
			p.cmd.Env = append(p.cmd.Env, v)
		}
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is in ProcessState
		close(p.done)
	}()
	return p, nil
}

func (p *child) pid() int { return p.cmd.Process.Pid }

// wait reports whether the process ends within d.
func (p *child) wait(d time.Duration) bool {
	select {
	case <-p.done:
		return true
	case <-time.After(d):
		return false
	}
}

// stop asks the process to end, and reports whether it did within d by itself.
func (p *child) stop(d time.Duration) bool {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	if p.wait(d) {
		return true
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	return false
}

// complaint returns the end of what the ended process printed to stderr.
func (p *child) complaint() string {
	const most = 2000
	b := bytes.TrimSpace(p.stderr.Bytes())
	return string(b[max(len(b)-most, 0):])
}

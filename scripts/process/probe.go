// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Probe is a running probe.
type Probe struct {
	*Process
	// StartUp is from its start until it was attached, 5 ms more at most.
	StartUp time.Duration
}

const (
	attachTimeout = 30 * time.Second
	readyPoll     = 5 * time.Millisecond
	// settleTime lets the last events (a server that notices a lost client, a
	// close) reach the probe before it is stopped.
	settleTime  = 700 * time.Millisecond
	stopTimeout = 30 * time.Second
)

// FindProbe returns the full path of a probe that is there.
func FindProbe(path string) (string, error) {
	full, err := filepath.Abs(path)
	if err == nil {
		_, err = os.Stat(full)
	}
	if err != nil {
		return "", fmt.Errorf("find the probe (make build): %w", err)
	}
	return full, nil
}

// StartProbe runs `probe trace --json` with further arguments, its files in
// dir, and waits until it is attached.
func StartProbe(dir, path string, args ...string) (*Probe, error) {
	return StartAttached(dir, "probe", append([]string{path, "trace", "--json"}, args...)...)
}

// StartAttached runs a command of probe, or a program that runs what its last
// arguments say, and waits until the probe is attached. name is that of its
// files in dir.
func StartAttached(dir, name string, command ...string) (*Probe, error) {
	ready := filepath.Join(dir, name+".ready")
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove ready file: %w", err)
	}
	begin := time.Now()
	p, err := Start(dir, name, nil, command[0], append(command[1:], "--ready-file", ready)...)
	if err != nil {
		return nil, err
	}
	for deadline := begin.Add(attachTimeout); ; time.Sleep(readyPoll) {
		if _, err := os.Stat(ready); err == nil {
			return &Probe{p, time.Since(begin)}, nil
		}
		if p.Ended() || time.Now().After(deadline) {
			p.Stop()
			return nil, fmt.Errorf("the probe did not attach: %s", Tail(p.Stderr))
		}
	}
}

// Finish stops the probe after a moment; what it printed is in Stdout.
func (p *Probe) Finish() error {
	time.Sleep(settleTime)
	if p.Ended() {
		return fmt.Errorf("the probe ended by itself: %s", Tail(p.Stderr))
	}
	if err := syscall.Kill(p.PID(), syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop the probe: %w", err)
	}
	if !p.Wait(stopTimeout) {
		p.Stop()
		return errors.New("the probe did not stop on SIGTERM")
	}
	if code := p.Cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("the probe ended with code %d: %s", code, Tail(p.Stderr))
	}
	return nil
}

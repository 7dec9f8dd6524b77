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

// Probe is a running `probe trace --json`.
type Probe struct {
	*Process
}

const (
	attachTimeout = 30 * time.Second
	// settleTime lets the last events (a server that notices a lost client, a
	// close) reach the probe before it is stopped.
	settleTime  = 700 * time.Millisecond
	stopTimeout = 30 * time.Second
)

// StartProbe runs `probe trace --json` with further arguments, its files in
// dir, and waits until it is attached.
func StartProbe(dir, path string, args ...string) (*Probe, error) {
	ready := filepath.Join(dir, "ready")
	if err := os.Remove(ready); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove ready file: %w", err)
	}
	all := append([]string{"trace", "--json", "--ready-file", ready}, args...)
	p, err := Start(dir, "probe", nil, path, all...)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(attachTimeout); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			return &Probe{p}, nil
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

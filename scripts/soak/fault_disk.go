// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// diskFull lets the disk under totals and spool become full, and have room again.
func diskFull(t *stand, f *fault) (err error) {
	f.done = "`--state-dir` and `--spool-dir` on a file system of 1 MiB, filled up under load, then requests for 600 new routes; emptied again"
	disk := filepath.Join(t.dir, "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("soak", disk, "tmpfs", 0, "size=1m"); err != nil {
		return fmt.Errorf("mount a small disk: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Unmount(disk, 0)) }()
	a, err := t.agent("agent", agentOptions{state: filepath.Join(disk, "state"), args: []string{"--spool-dir", filepath.Join(disk, "spool")}})
	if err != nil {
		return err
	}
	defer a.Kill()
	if err := t.during(func() error { return t.fillUp(a, f, disk) }); err != nil {
		return err
	}
	if err := t.finish(a, f); err != nil {
		return err
	}
	saved, err := a.kept()
	f.that(err == nil && saved.requests() == t.made.Load(), "totals on disk are whole again", "%d of %d", saved.requests(), t.made.Load())
	return nil
}

// fillUp takes all the room for a while, and gives it back.
func (t *stand) fillUp(a *agent, f *fault, disk string) error {
	t.pause(2 * time.Second)
	filler := filepath.Join(disk, "filler")
	if err := fill(filler); err != nil {
		return err
	}
	arrived := t.receiver.sums().counters[requests]
	begin := time.Now()
	// Totals need more room only when there are more of them.
	if err := t.askRoutes(600); err != nil {
		return err
	}
	t.pause(6 * time.Second)
	full, err := a.insight()
	if err != nil {
		return err
	}
	more := t.receiver.sums().counters[requests] - arrived
	complaints := len(a.said("totals not saved"))
	f.that(full.Counters["state.save_errors"] > 1, "failed writes are counted", "%d", full.Counters["state.save_errors"])
	f.that(complaints >= 1 && complaints <= 1+int(time.Since(begin)/time.Minute), "it says so once a minute", "%d times in %v", complaints, time.Since(begin).Round(time.Second))
	spooled := len(a.said("spool"))
	f.that(spooled <= 1+int(time.Since(begin)/time.Minute), "of the spool too", "%d times", spooled)
	f.that(more > 0, "lines arrive all the same", "%d requests while it was full", more)
	f.counter(full.Counters, "state.save_errors", "export.spool_errors")
	f.says("log: %d times that totals are not saved, %d times about the spool", complaints, spooled)
	if err := os.Remove(filler); err != nil {
		return err
	}
	saves := full.Counters["state.saves"]
	again, err := await(10*time.Second, func() (bool, error) {
		in, err := a.insight()
		return in.Counters["state.saves"] > saves+1, err
	})
	f.that(again, "it saves again once there is room", "%t", again)
	return err
}

// fill writes until there is no room.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = file.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return errors.Join(err, file.Close())
	}
	return file.Close()
}

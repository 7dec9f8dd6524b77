// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"probe/scripts/process"
)

// receiverAway takes the receiver away for a while.
func receiverAway(t *stand, f *fault) error {
	f.done = "the receiver closes its socket and every connection under load, and is back after 6 s; TCP, queue in memory"
	a, err := t.agent("agent", agentOptions{})
	if err != nil {
		return err
	}
	defer a.Kill()
	err = t.during(func() error {
		t.pause(2 * time.Second)
		t.receiver.down()
		t.pause(6 * time.Second)
		in, err := a.insight()
		if err != nil {
			return err
		}
		f.that(len(in.Problems) == 0, "ready while lines wait", "%s", first(in.Problems))
		f.counter(in.Counters, "export.send_errors.connect")
		return t.receiver.up()
	})
	if err != nil {
		return err
	}
	// Back-off: what waited is there a moment later.
	if _, err := await(15*time.Second, func() (bool, error) {
		return t.receiver.sums().counters[requests] >= t.made.Load(), nil
	}); err != nil {
		return err
	}
	end, err := a.finish()
	if err != nil {
		return err
	}
	got := t.receiver.end()
	own := got.selfCounters()
	made, replayed := t.made.Load(), own["export.lines_replayed"]
	f.same("requests: made = counted by probe", made, end.Finished+end.Failed)
	f.that(got.counters[requests] == made || replayed > 0 && got.counters[requests] > made,
		"every line has arrived; twice only what was sent again on purpose", "%d of %d, %d lines sent again", got.counters[requests], made, replayed)
	f.that(len(lossesOf(own)) == 0, "no event lost", "%s", lossText(own))
	f.counter(own, "export.reconnects", "export.lines_replayed", "export.dropped.queue_full")
	return nil
}

// secondAgent starts another one for the same receiver, and one for a receiver
// of its own.
func secondAgent(t *stand, f *fault) error {
	f.done = "under load, a second agent for the same receiver, and one for another receiver"
	a, err := t.agent("agent", agentOptions{})
	if err != nil {
		return err
	}
	defer a.Kill()
	elsewhere, err := newReceiver()
	if err != nil {
		return err
	}
	defer elsewhere.down()
	err = t.during(func() error {
		b, err := t.agent("elsewhere", agentOptions{statsd: elsewhere.target()})
		if err != nil {
			return err
		}
		defer b.Kill()
		if err := t.refused(f); err != nil {
			return err
		}
		end, err := b.finish()
		f.that(err == nil && end.Finished > 0, "the one for another receiver works", "%d requests", end.Finished)
		return err
	})
	if err != nil {
		return err
	}
	return t.finish(a, f)
}

// refused starts an agent that must not run.
func (t *stand) refused(f *fault) error {
	const limit = 25 * time.Second
	p, err := process.Start(t.dir, "refused", nil, t.probe, "run", "--statsd", t.receiver.target(), "--statsd-dialect", "dogstatsd", "--prefix", prefix)
	if err != nil {
		return err
	}
	defer p.Kill()
	begin := time.Now()
	ended := p.Wait(limit)
	code := -1
	if ended {
		code = p.Cmd.ProcessState.ExitCode()
	}
	f.that(code == 1, "the second is refused: exit code 1", "%d after %v", code, time.Since(begin).Round(time.Second))
	said := process.Tail(p.Stderr)
	f.that(strings.Contains(said, "waiting for it to end") && strings.Contains(said, "--allow-second"), "it says why, and the way out", "%d bytes", len(said))
	f.says("the second: another probe sends the same figures to the same receiver, exit %d", code)
	return nil
}

// noTracefs runs the agent where tracefs is not mounted.
func noTracefs(t *stand, f *fault) error {
	f.done = "the agent in a mount namespace of its own without tracefs and debugfs"
	mounts := filepath.Join(t.dir, "mounts")
	const script = `while umount -a -t tracefs,debugfs 2>/dev/null && grep -qE ' (tracefs|debugfs) ' /proc/self/mounts; do :; done
cp /proc/self/mounts "$0" && exec "$@"`
	a, err := t.agent("agent", agentOptions{wrap: []string{"unshare", "--mount", "--propagation", "private", "sh", "-c", script, mounts}})
	if err != nil {
		return err
	}
	defer a.Kill()
	text, err := os.ReadFile(mounts)
	if err != nil {
		return err
	}
	gone := !strings.Contains(string(text), " tracefs ") && !strings.Contains(string(text), " debugfs ")
	f.that(gone, "there is no tracefs", "%t", gone)
	if err := t.rest(3 * time.Second); err != nil {
		return err
	}
	f.says("nothing: it finds its hooks by the kernel's type information")
	return t.finish(a, f)
}

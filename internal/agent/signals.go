// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// signals serves those that do not end the agent: SIGUSR1 writes the state to
// the log, SIGHUP reads the settings again where there is a file to read.
type signals struct {
	agent *Agent
	queue chan os.Signal
}

// newSignals begins to receive at once: a signal that arrives while the agent
// starts is not lost and does not kill.
func newSignals(a *Agent) *signals {
	s := &signals{agent: a, queue: make(chan os.Signal, 4)}
	signal.Notify(s.queue, unix.SIGUSR1)
	if a.opt.Reload != nil {
		signal.Notify(s.queue, unix.SIGHUP)
	}
	return s
}

func (s *signals) stop() { signal.Stop(s.queue) }

func (s *signals) String() string { return "signals" }

func (s *signals) Serve(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case one := <-s.queue:
			if one == unix.SIGHUP {
				s.agent.reload(ctx)
			} else {
				s.agent.logState(ctx)
			}
		}
	}
}

// logState writes what /debug/state shows.
func (a *Agent) logState(ctx context.Context) {
	text, err := json.Marshal(a.describe(ctx))
	if err != nil {
		a.log.Error("state not shown", "error", err)
		return
	}
	a.log.Info("state", "state", string(text))
}

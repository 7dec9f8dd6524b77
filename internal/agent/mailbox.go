// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

const (
	// mailboxSize bounds the questions that wait for the pipeline's next round.
	mailboxSize = 16
	// askTimeout is how long an answer may take; a round takes milliseconds.
	askTimeout = 2 * time.Second
)

var errNoAnswer = errors.New("the pipeline does not answer")

// mailbox lets other goroutines ask the one that owns the pipeline. It looks
// into the box once per round, and is woken up where a round waits for records.
type mailbox struct {
	questions chan func()
	wake      atomic.Pointer[func()] // nil until the pipeline runs
}

func newMailbox() *mailbox { return &mailbox{questions: make(chan func(), mailboxSize)} }

// onQuestion has wake called for each question from now on.
func (m *mailbox) onQuestion(wake func()) { m.wake.Store(&wake) }

// empty reports whether nothing was asked since the last round.
func (m *mailbox) empty() bool { return len(m.questions) == 0 }

// answerAll runs what was asked since the last round.
func (m *mailbox) answerAll() {
	for {
		select {
		case fn := <-m.questions:
			fn()
		default:
			return
		}
	}
}

// ask has the pipeline run fn and returns what fn does. When the answer does
// not come in time fn is not run any more; one that runs at that moment is not
// waited for, so it must not write to the caller's memory.
func ask[T any](ctx context.Context, m *mailbox, fn func() T) (T, error) {
	var none T
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answer := make(chan T, 1)
	run := func() {
		if ctx.Err() == nil { // else the caller was told that nothing happens
			answer <- fn()
		}
	}
	select {
	case m.questions <- run:
		if wake := m.wake.Load(); wake != nil {
			(*wake)()
		}
	case <-ctx.Done():
		return none, errNoAnswer
	}
	select {
	case v := <-answer:
		return v, nil
	case <-ctx.Done():
		return none, errNoAnswer
	}
}

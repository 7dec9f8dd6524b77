// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"time"
)

const (
	// mailboxSize bounds the questions that wait for the pipeline's next round.
	mailboxSize = 16
	// askTimeout is how long an answer may take; a round takes milliseconds, or
	// longestWait where nothing happens.
	askTimeout = 2 * time.Second
)

var errNoAnswer = errors.New("the pipeline does not answer")

// mailbox lets other goroutines ask the one that owns the pipeline. It looks
// into the box once per round, so a question costs no wake-up.
type mailbox chan func()

func newMailbox() mailbox { return make(mailbox, mailboxSize) }

// answerAll runs what was asked since the last round.
func (m mailbox) answerAll() {
	for {
		select {
		case fn := <-m:
			fn()
		default:
			return
		}
	}
}

// ask has the pipeline run fn and returns what fn does. When the answer does
// not come in time fn is not run any more; one that runs at that moment is not
// waited for, so it must not write to the caller's memory.
func ask[T any](ctx context.Context, m mailbox, fn func() T) (T, error) {
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
	case m <- run:
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

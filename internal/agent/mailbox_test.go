// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Who was told that there is no answer must be able to rely on it: settings that
// stay as they were, totals that were not reset.
func TestAbandonedQuestionIsNotRun(t *testing.T) {
	m := newMailbox()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	ran := false
	if _, err := ask(ctx, m, func() int { ran = true; return 7 }); !errors.Is(err, errNoAnswer) {
		t.Fatalf("%v, want no answer", err)
	}
	m.answerAll()
	if ran {
		t.Error("it was done all the same")
	}
}

// A question wakes up who waits for something else.
func TestQuestionWakes(t *testing.T) {
	m := newMailbox()
	woken := make(chan struct{}, 1)
	m.onQuestion(func() { woken <- struct{}{} })
	go func() {
		<-woken
		m.answerAll()
	}()
	if got, err := ask(t.Context(), m, func() int { return 7 }); got != 7 || err != nil {
		t.Errorf("%d, %v", got, err)
	}
	if !m.empty() {
		t.Error("a question is left")
	}
}

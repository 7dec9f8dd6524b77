// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"probe/pkg/events"
)

// While a delivery is under way the interval cannot be ended: a reset is refused
// then, or what was counted before it would be in the totals after it.
func TestResetDuringDelivery(t *testing.T) {
	a, _ := ending(t, time.Second)
	m, _, _, _ := memoryOn(t, t.TempDir())
	m.log = slog.New(slog.DiscardHandler)
	a.memory = m
	a.stats.Record(&events.Request{Role: events.RoleServer, Status: 200, Service: "shop"})
	a.deliver.start(job{}) // nobody takes it
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			a.mailbox.answerAll()
			time.Sleep(time.Millisecond)
		}
	}()
	if err := (*view)(a).Reset(t.Context()); !errors.Is(err, errBusy) {
		t.Errorf("%v, want %v", err, errBusy)
	}
	m.add(a.flushStats()) // what the next flush does
	if list := m.series.List(); len(list) != 1 {
		t.Errorf("after a reset that was refused: %+v, want the request", list)
	}
}

// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"testing"
	"time"

	"probe/pkg/loader"
)

// Who waits hears of a ring that fills because nobody drains it, once a quarter
// of it is filled and before anything is lost, and not of one that is drained.
func TestAlarm(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		obs := observe(t, loader.Options{
			Source: source, RingBytes: 1 << 20, Comms: []string{player.comm}, Server: true, Client: true,
		})
		alarm, err := obs.kernel.Alarm()
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan bool)
		go func() {
			for {
				full, err := alarm.Wait()
				if err != nil {
					t.Error(err)
				}
				heard <- full
				if !full {
					return
				}
			}
		}()
		defer func() {
			if err := alarm.Stop(); err != nil {
				t.Fatal(err)
			}
			for <-heard { // again, perhaps, before the ring was drained
			}
			if err := alarm.Close(); err != nil {
				t.Error(err)
			}
		}()
		burst := func(requests int) { player.play(order{Scenario: "burst", Repeat: requests}) }
		for range 10 { // more than a quarter, but drained
			burst(50)
			obs.poll()
		}
		select {
		case <-heard:
			t.Error("an alarm though the ring was drained")
		case <-time.After(100 * time.Millisecond):
		}
		for full := false; !full; {
			burst(50) // two records each, of 200 bytes and more
			select {
			case full = <-heard:
			case <-time.After(20 * time.Millisecond):
				if obs.counter("kernel.dropped.ring_full") > 0 {
					t.Fatal("records were lost and no alarm was given")
				}
			}
		}
		if lost := obs.counter("kernel.dropped.ring_full"); lost > 0 {
			t.Errorf("%d records were lost before the alarm", lost)
		}
		obs.poll()
	})
}

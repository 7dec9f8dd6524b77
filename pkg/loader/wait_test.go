// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"testing"
	"time"

	"probe/pkg/loader"
)

// A wait ends at the first record, again and again, and without one when its time
// is over, or when it is told to.
func TestWait(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		obs := observe(t, loader.Options{
			Source: source, Comms: []string{player.comm}, Server: true, Client: true,
		})
		const never, short = time.Minute, 20 * time.Millisecond
		wait := func(d time.Duration) (took time.Duration) {
			begun := time.Now()
			if err := obs.kernel.Wait(d); err != nil {
				t.Fatal(err)
			}
			return time.Since(begun)
		}
		for range 3 {
			if took := wait(short); took < short {
				t.Errorf("waited %v for nothing, want %v", took, short)
			}
			played := make(chan struct{})
			go func() {
				defer close(played)
				time.Sleep(short) // most likely it waits by then
				player.play(order{Scenario: "burst", Repeat: 1})
			}()
			if took := wait(never); took > never/2 {
				t.Errorf("a record came, and was waited for until the end, %v", took)
			}
			records, _, err := obs.kernel.Drain(obs.feed)
			if err != nil || records == 0 {
				t.Errorf("%d records, error %v after a wait that one has ended", records, err)
			}
			<-played
			obs.poll() // the rest
		}
		time.AfterFunc(short, obs.kernel.EndWait)
		if took := wait(never); took > never/2 {
			t.Errorf("a wait that was ended took %v", took)
		}
	})
}

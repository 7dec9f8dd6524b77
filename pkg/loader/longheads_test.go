// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"testing"

	"probe/pkg/loader"
)

// The head of a response is read up to twice the bytes that are kept of other messages,
// by whatever call it is moved: its length is known, and so its end.
func TestLongHeads(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		requireSource(t, source)
		player := startChild(t)
		obs := observe(t, loader.Options{Source: source, Comms: []string{player.comm}, Server: true, Client: true})
		want := sorted(player.play(order{Scenario: "answers with long heads"}))
		obs.pollFor(len(want))
		for _, q := range obs.requests {
			if q.Flags != 0 {
				t.Errorf("%s, %d bytes: flags %v", q.Role, q.ResponseBytes, q.Flags)
			}
		}
		compareExchanges(t, want, obs.await(len(want)))
	})
}

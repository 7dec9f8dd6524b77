// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"testing"

	"probe/pkg/loader"
)

// A full ring loses records, never a count. Every request that the kernel side
// took is in exactly one of these places:
//
//	started       told to the tracker, which made an exchange of it
//	inside_body   told, and found to be the inside of a body
//	ring_full     its record was refused by the ring
//	not_answered  its answer was not HTTP (none here: all answers are)
//	pending       kept in the kernel, its answer has not begun (none here: the
//	              player has stopped, and closed its connections)
func TestOverload(t *testing.T) {
	const requests = 3000
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		obs := observe(t, loader.Options{
			Source: source, RingBytes: loader.MinRingBytes, Comms: []string{player.comm}, Server: true, Client: true,
		})
		player.play(order{Scenario: "keep a connection"})
		obs.poll()
		// Nobody drains meanwhile.
		player.play(order{Scenario: "burst on the kept connection", Repeat: requests})
		player.play(order{Scenario: "burst", Repeat: requests})
		obs.poll()

		taken := obs.counter("kernel.requests_seen")
		refused := obs.counter("kernel.dropped.ring_full")
		lost := obs.counter("kernel.dropped.ring_full_requests")
		other := obs.counter("kernel.dropped.not_http_answer")
		books := obs.tracker.Stats()
		if want := uint64(2 * (1 + 2*requests)); taken != want { // both roles
			t.Errorf("the kernel side took %d requests, %d were made", taken, want)
		}
		if lost == 0 || refused < lost {
			t.Errorf("%d records refused, %d of them with a request: the test overloads nothing", refused, lost)
		}
		if told := books.Started + books.InsideBody; taken != told+lost+other {
			t.Errorf("%d requests taken, but %d told + %d lost + %d not answered by HTTP", taken, told, lost, other)
		}
		checkBooks(t, obs)
		for _, again := range []order{{Scenario: "keep-alive"}, {Scenario: "burst on the kept connection", Repeat: 2}} {
			checkRecovery(t, obs, player, again)
		}
		checkBooks(t, obs)
	})
}

// checkBooks: the tracker's own equation.
func checkBooks(t *testing.T, obs *observer) {
	t.Helper()
	b := obs.tracker.Stats()
	in := b.Started + b.Pipelined + b.Orphans
	out := b.Finished + b.Open + b.NotHTTP + b.Evicted + b.Unseen
	if in != out {
		t.Errorf("%d exchanges in and %d out: %+v", in, out, b)
	}
}

// checkRecovery: once the ring is drained everything is seen as before, on new
// connections and on those of which records were lost.
func checkRecovery(t *testing.T, obs *observer, player *child, again order) {
	t.Helper()
	obs.seen = nil
	want := sorted(player.play(again))
	compareExchanges(t, want, obs.await(len(want)))
}

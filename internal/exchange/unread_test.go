// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"testing"

	"probe/internal/exchange"
)

// A response of which not even the beginning can be read takes its own request with
// it, and nothing else.
func TestUnreadResponse(t *testing.T) {
	unseen := func(started, unseen uint64) func(*exchange.Stats) {
		return func(s *exchange.Stats) { s.Started, s.Unseen = started, unseen }
	}
	two, three := ok(get("/2"), okReply), ok(get("/3"), reply(404, large))
	rest := []step{in(get("/2")), out(okReply), in(get("/3")), out(reply(404, large)), end()}
	late := ok(get("/1"), okReply).with(uncertain)
	late.Out += 25
	runScripts(t, []script{
		{name: "the first", steps: append([]step{in(get("/1")), sendfile(200)}, rest...), want: []seen{two, three}, stats: unseen(3, 1)},
		{name: "in two pieces", steps: append([]step{in(get("/1")), sendfile(200), sendfile(3000)}, rest...), want: []seen{two, three}, stats: unseen(3, 1)},
		{name: "and a body that can be read", steps: append([]step{in(get("/1")), sendfile(200), out(large)}, rest...), want: []seen{two, three}, stats: unseen(3, 1)},
		{name: "swept", steps: append([]step{in(get("/1")), sendfile(200), sendfile(99), sweep()}, rest...), want: []seen{two, three}, stats: unseen(3, 1)},
		{name: "a later one", steps: append([]step{in(get("/0")), out(okReply), in(get("/1")), sendfile(200)}, rest...),
			want: []seen{ok(get("/0"), okReply), two, three}, stats: unseen(4, 1)},
		{name: "the last", steps: []step{in(get("/2")), out(okReply), in(get("/1")), sendfile(200), end()}, want: []seen{two}, stats: unseen(2, 1)},
		{name: "all", steps: []step{in(get("/1")), sendfile(200), in(get("/2")), sendfile(200), end()}, stats: unseen(2, 2)},
		{name: "then none", steps: []step{in(get("/1")), sendfile(200), in(getRequest), end()},
			want: []seen{ok(getRequest, "").outcome("unanswered")}, stats: unseen(2, 1)},
		{name: "an interim one", steps: append([]step{in(get("/1")), sendfile(25), out(okReply)}, rest...), want: []seen{late, two, three}},
		{name: "of two that wait", steps: []step{in(get("/1"), get("/2")), sendfile(200), out(okReply), in(get("/3")), out(reply(404, large)), end()},
			want: []seen{two.with(uncertain), three}, stats: unseen(3, 1)},
	})
}

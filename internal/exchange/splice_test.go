// SPDX-License-Identifier: Apache-2.0

package exchange_test

import "testing"

// A client splices the rest of an answer out of its Unix socket: nothing tells of it.
func TestSplicedOutOfUnixSocket(t *testing.T) {
	first := "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nsome"
	chunks := chunkedHead + chunk(large)
	tests := []script{
		{name: "with a length", steps: []step{out(get("/1")), in(first), out(get("/2")), in(okReply), out(get("/3")), in(okReply)},
			want: []seen{ok(get("/1"), first).with(uncertain), ok(get("/2"), okReply).with(uncertain), ok(get("/3"), okReply)}},
		{name: "in chunks", steps: []step{out(get("/1")), in(chunks), out(get("/2")), in(okReply), out(get("/3")), in(okReply)},
			want: []seen{ok(get("/1"), chunks).with(uncertain), ok(get("/2"), okReply).with(uncertain), ok(get("/3"), okReply)}},
		{name: "all of the body", steps: []step{out(get("/1")), in(first[:len(first)-4]), sweep(), out(get("/2")), in(okReply)},
			want: []seen{ok(get("/1"), first[:len(first)-4]).with(uncertain), ok(get("/2"), okReply).with(uncertain)}},
		{name: "pipelined, and nothing is missing", steps: []step{out(get("/1"), get("/2")), in(reply(200, large), okReply)},
			want: []seen{ok(get("/1"), reply(200, large)), ok(get("/2"), okReply)}},
	}
	for i := range tests {
		tests[i].steps = append([]step{unixSocket()}, tests[i].steps...)
	}
	runScripts(t, tests)
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"
)

// behaviour is one way of using a connection.
type behaviour struct {
	name, title string
	// unix: runs over the server's Unix socket, under a probe of its own.
	unix bool
	// last: nothing can follow it on the same server instance.
	last bool
	play func(*run) error
}

// behaviours returns every behaviour, in the order of the report.
func behaviours() []behaviour {
	return []behaviour{
		{name: "before", title: "connection opened and used before the probe started", play: openedBefore},
		{name: "keepalive", title: "20 mixed requests on one connection", play: keepAlive},
		{name: "perconn", title: "one connection per request", play: perConnection},
		{name: "http10", title: "HTTP/1.0, body ended by close", play: http10},
		{name: "concurrent", title: "64 concurrent connections", play: concurrent},
		{name: "head", title: "HEAD", play: method("HEAD", "/hello", 200)},
		{name: "s204", title: "204", play: method("GET", "/status/204", 204)},
		{name: "s304", title: "304", play: method("GET", "/status/304", 304)},
		{name: "s404", title: "404", play: method("GET", "/status/404", 404)},
		{name: "s500", title: "500", play: method("GET", "/status/500", 500)},
		{name: "continue", title: "POST 100 KB with Expect: 100-continue", play: expectContinue},
		{name: "chunkedreq", title: "chunked request", play: chunkedRequest},
		{name: "lookalike", title: "request body in pieces that look like requests", play: lookalike(false)},
		{name: "lookchunk", title: "the same in chunks", play: lookalike(true)},
		{name: "chunkedresp", title: "chunked response", play: method("GET", "/chunked", 200)},
		{name: "trailers", title: "chunked response with trailers", play: method("GET", "/trailers", 200)},
		{name: "big", title: "20 MB file", play: bigFile},
		{name: "stream", title: "streamed body, 10 pieces 50 ms apart", play: method("GET", "/stream", 200)},
		{name: "early", title: "answer before the request body is complete", play: earlyAnswer},
		{name: "hints", title: "103 before the final status", play: earlyHints},
		{name: "upgrade", title: "101, then bytes that look like HTTP", play: upgrade},
		{name: "bytewise", title: "request in 1-byte writes", play: bytewise(0)},
		{name: "byteslow", title: "request in 1-byte writes 5 ms apart", play: bytewise(byteDelay)},
		{name: "pipeone", title: "pipelined pair in one write", play: pipelined("/hello", true, 0)},
		{name: "pipetwo", title: "pipelined pair in two writes", play: pipelined("/hello", false, 0)},
		{name: "pipelate", title: "second request while the first is served", play: pipelined("/sleep/300", false, 50*time.Millisecond)},
		{name: "ipv6", title: "IPv6", play: overIPv6},
		{name: "unix", title: "Unix socket", unix: true, play: overUnix},
		{name: "absolute", title: "absolute-form target", play: absoluteForm},
		{name: "star", title: "OPTIONS *", play: optionsStar},
		{name: "lower", title: "lower-case method", play: anyStatus("get")},
		{name: "unknown", title: "unknown method", play: anyStatus("BREW")},
		{name: "gonestream", title: "client leaves during a streamed response", play: clientLeaves("/stream", 2500)},
		{name: "gonebig", title: "client leaves during the 20 MB file", play: clientLeaves("/big", 1<<20)},
		{name: "reset", title: "client resets before the answer", play: resetBeforeAnswer},
		{name: "killed", title: "server killed during the response", last: true, play: serverKilled},
	}
}

// inOrder returns the behaviours to play on one instance: those nothing can
// follow come last.
func inOrder(all []behaviour, only string, unix bool) []behaviour {
	var first, last []behaviour
	for _, b := range all {
		switch {
		case b.unix != unix, only != "" && b.name != only:
		case b.last:
			last = append(last, b)
		default:
			first = append(first, b)
		}
	}
	return slices.Concat(first, last)
}

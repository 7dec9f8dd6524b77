// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
)

// end is one observed end of the connections of a server: usually there is only
// the server's own, but a proxy has two and the server behind it has one more.
type end struct {
	title string
	main  bool // the end our client talks to
	ours  bool // its processes are the instance's
	// takes reports whether a line of the probe belongs to this end.
	takes func(traceLine) bool
	// wants returns the lines the probe must print for this end.
	wants func(*instance, []*run, []logLine) ([]want, error)
}

func anyBytes() span { return span{0, math.MaxInt64} }

// role returns what the probe is asked to observe.
func (v *server) role() string {
	switch v.name {
	case "haproxy", "nginx":
		return "both"
	}
	return "server"
}

// ports returns the probe's --port value.
func (in *instance) ports() string {
	if in.server.name == "haproxy" {
		return fmt.Sprintf("%d,%d", in.Port, in.Backend)
	}
	return strconv.Itoa(in.Port)
}

// ends returns the ends to be reported for a server.
func (v *server) ends(in *instance) []end {
	own := end{title: v.title, main: true, ours: true, wants: wantsOfClient, takes: func(l traceLine) bool {
		return l.Role == "server" && !hasPort(l.Local, in.Backend)
	}}
	switch v.name {
	case "nginx":
		// The same requests seen from this program, which sends them.
		return []end{own, {title: "this client", wants: wantsOfThisClient, takes: func(l traceLine) bool { return l.Role == "client" }}}
	case "haproxy":
		own.title = "HAProxy, server side"
		return []end{
			own,
			{title: "HAProxy, client side", ours: true, wants: wantsBehind("client"), takes: func(l traceLine) bool {
				return l.Role == "client" && hasPort(l.Remote, in.Backend)
			}},
			{title: "nginx behind HAProxy", ours: true, wants: wantsBehind("server"), takes: func(l traceLine) bool {
				return l.Role == "server" && hasPort(l.Local, in.Backend)
			}},
		}
	}
	return []end{own}
}

func hasPort(address string, port int) bool {
	return strings.HasSuffix(address, ":"+strconv.Itoa(port))
}

// wantsOfClient is what the server's end must show: what our client saw. Where
// the client left early, the server's log says how far the server got.
func wantsOfClient(in *instance, runs []*run, log []logLine) ([]want, error) {
	handed := map[string]int64{}
	if in.server.log.total {
		for _, l := range log {
			handed[tagOf(l.target)] = l.total
		}
	}
	var wants []want
	for _, r := range runs {
		for _, x := range r.seen {
			w := wantOf(r, x, "server")
			if n, ok := handed[x.tag]; ok && n > 0 && x.outcome == outcomeAborted && !x.unlogged && w.response.contains(n) {
				w.response = exactly(n)
			}
			wants = append(wants, w)
		}
	}
	return wants, nil
}

func wantOf(r *run, x exchange, role string) want {
	return want{
		behaviour: r.behaviour, role: role, tag: x.tag,
		method: x.method, target: x.target, status: x.status, outcome: x.outcome,
		request: requestSpan(x), response: responseSpan(x), remote: x.local,
	}
}

// wantsOfThisClient is the same from the other end: the remote address is the
// server's and cannot tell the connections apart.
func wantsOfThisClient(_ *instance, runs []*run, _ []logLine) ([]want, error) {
	var wants []want
	for _, r := range runs {
		if r.network == "unix" {
			continue // observed with the server role only
		}
		for _, x := range r.seen {
			w := wantOf(r, x, "client")
			w.remote = ""
			wants = append(wants, w)
		}
	}
	return wants, nil
}

// wantsBehind derives what happens between a proxy and the server behind it
// from that server's access log. Where our client or the proxy broke off, the
// log does not tell how far the other end got.
func wantsBehind(role string) func(*instance, []*run, []logLine) ([]want, error) {
	return func(in *instance, runs []*run, _ []logLine) ([]want, error) {
		lines, err := readLog(filepath.Join(in.Dir, "behind", "access.log"), parseLogLine)
		if err != nil {
			return nil, err
		}
		seen := map[string]exchange{}
		for _, r := range runs {
			for _, x := range r.seen {
				seen[x.tag] = x
			}
		}
		var wants []want
		for _, l := range lines {
			tag := tagOf(l.target)
			x, known := seen[tag]
			if tag == "unseen-1" || behaviourOfTag(tag) == "unix" {
				continue
			}
			w := want{
				behaviour: behaviourOfTarget(l.target), role: role, tag: tag,
				method: l.method, target: l.target, status: l.status, outcome: outcomeOf(l.status),
				request: exactly(l.received), response: exactly(l.total),
			}
			if !known || x.outcome == outcomeAborted || x.outcome == outcomeUnanswered {
				w.outcome, w.response = "", anyBytes()
			}
			if x.requestMin != x.requestBytes || l.received == 0 {
				w.request = anyBytes()
			}
			wants = append(wants, w)
		}
		return wants, nil
	}
}

// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"probe/pkg/stats"
)

// answerStatus answers with the status that the target ends with; before it come
// interim answers, where it asks for one.
func answerStatus(c net.Conn) {
	for {
		head, err := readHead(c)
		if err != nil {
			return
		}
		_, rest, _ := bytes.Cut(head, []byte(" "))
		target, _, _ := bytes.Cut(rest, []byte(" "))
		status, err := strconv.Atoi(string(target[bytes.LastIndexByte(target, '/')+1:]))
		if err != nil {
			return
		}
		if status < 200 {
			write(c, fmt.Sprintf("HTTP/1.1 %d Interim\r\n\r\n", status))
			status += 100
		}
		write(c, fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", status))
	}
}

// word is one of a number of words that no route template folds.
func word(rnd *rand.Rand, among int) string {
	n := rnd.IntN(among)
	var b strings.Builder
	for range 6 {
		b.WriteByte('g' + byte(n%20))
		n /= 20
	}
	return b.String()
}

// Tens of thousands of different paths, hosts, methods and status codes: every
// request is counted, under a bounded number of keys, which leaves some to
// others.
func TestSiegeRoutes(t *testing.T) {
	const conns, each = 42, 750
	const few, many = 60, 1 << 25 // below and above the words that a node takes
	s := besiege(t)
	addresses := serveRaw(t, answerStatus)[:1] // one service
	began := time.Now()
	attack(t, conns, 4, addresses, func(i int, c *net.TCPConn) {
		rnd := rand.New(rand.NewPCG(uint64(i), 1))
		buf := make([]byte, 4096)
		for range each {
			method := "GET"
			if rnd.IntN(2) == 0 {
				method = strings.ToUpper(word(rnd, many))
			}
			status := 100 + rnd.IntN(900)
			if status == 101 { // another protocol follows
				status = 102
			}
			path := word(rnd, few)
			switch i % 3 {
			case 0: // more templates than there may be
				path += "/" + word(rnd, many)
			case 1: // more words than one node takes, but not the root: the few must fit
				path = "words/" + word(rnd, many)
			}
			write(c, fmt.Sprintf("%s /%s/%d HTTP/1.1\r\nHost: %s.example\r\n\r\n", method, path, status, word(rnd, many)))
			for answer := ""; ; {
				n, err := c.Read(buf)
				if answer += string(buf[:n]); strings.HasSuffix(answer, "Length: 0\r\n\r\n") {
					break
				}
				if err != nil {
					t.Errorf("answer %q: %v", answer, err)
					return
				}
			}
		}
	})
	t.Logf("%.0f requests/s", conns*each/time.Since(began).Seconds())
	series := s.state().Series
	s.end()
	if got := s.sink.sum(requests) - s.asked; got != conns*each {
		t.Errorf("%d requests, want %d", got, conns*each)
	}
	for what, size := range map[string][2]int{
		"series":   {series, stats.DefaultMaxSeries*3/4 + 10},
		"routes":   {len(s.sink.values(requests, "route")), 2010},
		"methods":  {len(s.sink.values(requests, "method")), 20},
		"statuses": {len(s.sink.values(requests, "status")), 901},
		"services": {len(s.sink.values(requests, "service")), 6},
	} {
		if size[0] > size[1] {
			t.Errorf("%d %s, want at most %d", size[0], what, size[1])
		}
	}
	if got := s.sink.sum(requests + " service:" + stats.Other); got == 0 || got != s.self("stats.series_overflowed") {
		t.Errorf("%d requests in the overflow series, %d counted", got, s.self("stats.series_overflowed"))
	}
	for _, name := range []string{"route.capped", "route.overflow"} {
		if s.self(name) == 0 {
			t.Errorf("%s counts nothing", name)
		}
	}
}

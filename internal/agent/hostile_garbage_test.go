// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bytes"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
)

// garbage is what the two sides of a connection send. PATH is the name of it.
type garbage struct {
	name    string
	request string
	answer  string
	// counted: it is a request all the same, so it counts as one, under its path.
	counted bool
}

const (
	plainAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	plainGet    = "GET /PATH HTTP/1.1\r\nHost: a\r\n\r\n"
	plainPost   = "POST /PATH HTTP/1.1\r\nHost: a\r\n"
)

// garbages begin like HTTP; some of them are.
func garbages() []garbage {
	rnd := rand.New(rand.NewPCG(7, 7))
	random := make([]byte, 700)
	for i := range random {
		random[i] = byte(rnd.IntN(256))
	}
	binary := string(random)
	all := []garbage{
		{"binary-behind-method", "GET " + binary, plainAnswer, false},
		{"binary-behind-target", "GET /PATH " + binary, plainAnswer, false},
		{"nul-bytes", "GET /\x00PATH HTTP/1.1\r\n\x00: \x00\r\n\r\n", plainAnswer, false},
		{"endless-line", "GET /" + strings.Repeat("a", 100_000), plainAnswer, false},
		{"endless-word", strings.Repeat("A", 100_000), plainAnswer, false},
		{"other-version", "GET /PATH HTTP/9.9\r\n\r\n", plainAnswer, false},
		{"answer-as-request", plainAnswer, plainAnswer, false},
		{"endless-fields", plainPost + strings.Repeat("X: y\r\n", 10_000), plainAnswer, true},
		{"huge-chunk", plainPost + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx\r\n10000000000000000\r\n", plainAnswer, true},
		{"chunks-of-nothing", plainPost + "Transfer-Encoding: chunked\r\n\r\n\r\n;;;\r\nzz\r\n", plainAnswer, true},
		{"negative-length", plainPost + "Content-Length: -1\r\n\r\nbody", plainAnswer, true},
		{"length-over-all", plainPost + "Content-Length: 18446744073709551616\r\n\r\nbody", plainAnswer, true},
		{"largest-length", plainPost + "Content-Length: 9223372036854775807\r\n\r\nbody", plainAnswer, true},
		{"two-lengths", plainPost + "Content-Length: 4\r\nContent-Length: 5\r\n\r\nbody", plainAnswer, true},
		{"length-and-chunks", plainPost + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", plainAnswer, true},
		{"binary-answer", plainGet, "HTTP/1.1 " + binary, false},
		{"answer-of-words", plainGet, "HTTP/1.1 abc\r\n\r\n", false},
		{"answer-of-five-digits", plainGet, "HTTP/1.1 20000 OK\r\n\r\n", false},
		{"no-http-answer", plainGet, binary, false},
		{"negative-answer", plainGet, "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nok", true},
		{"huge-answer", plainGet, "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nok", true},
		{"huge-chunk-answer", plainGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx", true},
		{"endless-answer", plainGet, "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 10_000), true},
		// Its status is behind the captured bytes: exchange.dropped.response_unseen.
		{"interim-answers", plainGet, strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000) + plainAnswer, false},
	}
	for i := range all {
		all[i].request = strings.ReplaceAll(all[i].request, "PATH", all[i].name)
	}
	return all
}

// firstGarbage: the client's address, 127.0.0.x, tells the server which it is.
const firstGarbage = 10

// answerGarbage sends its answer once something has come.
func answerGarbage(all []garbage) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := c.Read(make([]byte, 1024)); err != nil {
			return
		}
		from := c.RemoteAddr().(*net.TCPAddr).IP.To4()
		write(c, all[from[3]-firstGarbage].answer)
		drain(c)
	}
}

// Bytes that begin like HTTP and are not, of clients and of servers. What is a
// request in spite of its oddities is counted, each time.
func TestSiegeGarbage(t *testing.T) {
	const each = 100
	s := besiege(t)
	all := garbages()
	to, err := net.ResolveTCPAddr("tcp", serveRaw(t, answerGarbage(all))[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		for range each {
			c, err := net.DialTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(firstGarbage+i))}, to)
			if err != nil {
				t.Fatal(err)
			}
			write(c, all[i].request)
			c.CloseWrite()
			drain(c)
			c.Close()
		}
	}
	s.end()
	for _, g := range all {
		got := s.sink.sum(requests + " route:/" + g.name)
		if g.counted && got != each || !g.counted && got > each {
			t.Errorf("%s: %d requests, sent were %d; counted is %v", g.name, got, each, g.counted)
		}
	}
	for _, name := range []string{"exchange.dropped.not_http", "kernel.dropped.not_http_answer"} {
		if s.self(name) == 0 {
			t.Errorf("%s counts nothing", name)
		}
	}
}

// answerEither answers requests well and everything else with 400.
func answerEither(c net.Conn) {
	for {
		head, err := readHead(c)
		switch {
		case err != nil:
			return
		case bytes.HasPrefix(head, []byte("GET /")):
			write(c, plainAnswer)
		default:
			write(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nok")
		}
	}
}

// Good and bad heads in turn on one connection: every good one is counted, and
// so is every answer.
func TestSiegeAlternating(t *testing.T) {
	const conns, each = 20, 200
	s := besiege(t)
	addresses := serveRaw(t, answerEither)
	bad := []string{"GET \x01\x02\r\n\r\n", "get\r\n\r\n", "\x16\x03\x01\x02\x00\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"}
	attack(t, conns, conns, addresses, func(i int, c *net.TCPConn) {
		for j := range each {
			write(c, strings.ReplaceAll(plainGet, "PATH", "good"))
			readAnswer(t, c)
			write(c, bad[(i+j)%len(bad)])
			readAnswer(t, c)
		}
	})
	s.end()
	if got := s.sink.sum(requests + " route:/good"); got != conns*each {
		t.Errorf("%d good requests, want %d", got, conns*each)
	}
	if got := s.sink.sum(requests + " status:400"); got != conns*each {
		t.Errorf("%d answers to bad ones, want %d", got, conns*each)
	}
}

// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"fmt"
	"slices"
	"strings"

	"probe/pkg/loader"
)

// scenario is a script for one or a few connections. It tells the truth about
// every exchange by tells and both; each source must see just that.
type scenario struct {
	name string
	play func(s *stage)
}

func scenarios() []scenario {
	return slices.Concat(callScenarios(), moveScenarios(), messageScenarios(), preambleScenarios(), endScenarios(), processScenarios(), sockmapScenarios())
}

// callScenarios: every family of calls, with both heads in pieces of one call.
func callScenarios() []scenario {
	var list []scenario
	for _, c := range calls() {
		list = append(list, scenario{"by " + c.name, func(s *stage) {
			client, server := s.tcp()
			client.sendBy(c, "GET "+s.target+" HT", "TP/1.1\r\nHost: te", "st\r\n\r", "\n")
			server.recvBy(c, 40, 6, 9)
			server.sendBy(c, "HTTP/1.1 200 OK\r\nConte", "nt-Length: 7\r\n", "\r\npay", "load")
			client.recvBy(c, 30, 10)
			client.both("GET", 200)
		}})
	}
	return list
}

// messageScenarios: the shapes of HTTP/1 messages, by plain calls.
func messageScenarios() []scenario {
	return []scenario{
		{"keep-alive", func(s *stage) {
			client, _ := s.tcp()
			for _, status := range []int{200, 404, 503, 301} {
				client.exchange(get(s.target), answerOf(status, "abc"))
				client.both("GET", status)
			}
		}},
		{"methods", func(s *stage) {
			client, _ := s.tcp()
			for _, method := range []string{"get", "DELETE", "PROPFIND", "M-SEARCH", "X"} {
				client.exchange(method+" "+s.target+" HTTP/1.1\r\n\r\n", answerOf(200, ""))
				client.both(method, 200)
			}
		}},
		{"targets", func(s *stage) {
			client, _ := s.tcp()
			for _, target := range []string{"*", "http://example.com/a?b=c", "/" + repeated(300), "/%20?q=1"} {
				s.target = target
				client.exchange("OPTIONS "+target+" HTTP/1.1\r\n\r\n", answerOf(200, ""))
				client.both("OPTIONS", 200)
			}
		}},
		{"a body that begins like the answer to an upgrade", func(s *stage) {
			client, server := s.tcp()
			client.write(get(s.target))
			server.read()
			const body = "HTTP/1.1 101 Switching Protocols\r\n\r\n"
			server.write(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body)))
			client.read()
			server.write(body)
			client.read()
			client.both("GET", 200)
			for range 2 {
				client.exchange(get(s.target), answerOf(201, "next"))
				client.both("GET", 201)
			}
		}},
		{"messages about as long as what is kept", func(s *stage) {
			client, _ := s.tcp()
			for n := loader.DefaultCaptureBytes - 2; n <= loader.DefaultCaptureBytes+2; n++ {
				s.target = "/" + repeated(n-len(get("/")))
				client.exchange(get(s.target), answerOf(200, repeated(n-len(answerOf(200, repeated(400)))+400)))
				client.both("GET", 200)
			}
		}},
		{"no body despite its length", func(s *stage) {
			client, _ := s.tcp()
			client.exchange("HEAD "+s.target+" HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
			client.both("HEAD", 200)
			client.exchange(get(s.target), "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n")
			client.both("GET", 304)
			client.exchange(get(s.target), "HTTP/1.1 204 No Content\r\n\r\n")
			client.both("GET", 204)
			client.exchange(get(s.target), answerOf(200, "body"))
			client.both("GET", 200)
		}},
		{"head and body in two buffers", func(s *stage) {
			byTwo := calls()[1]
			client, server := s.tcp()
			base, asked := s.target, 0
			defer func() { s.target = base }()
			ask := func(method string) {
				asked++
				s.target = fmt.Sprintf("%s/%03d", base, asked)
				client.write(method + " " + s.target + " HTTP/1.1\r\n\r\n")
				server.read()
			}
			head := func(lines string) string { return "HTTP/1.1 200 OK\r\n" + lines + "\r\n\r\n" }
			answer := func(head, body string) {
				ask("GET")
				server.sendBy(byTwo, head, body)
				client.recvBy(byTwo, len(head), len(body))
				client.both("GET", 200)
			}
			for i := range 4 {
				answer(head("Content-Length: 7"), "payload")
				answer(head("Content-Length: 900"), repeated(900))
				answer(head("Transfer-Encoding: chunked"), "400\r\n"+repeated(0x400)+"\r\n0\r\n\r\n")
				answer(head("Server: "+repeated(i)+"\r\nContent-Length: 7"), "payload")
				ask("HEAD")
				server.write(head("Content-Length: 7"))
				client.read()
				client.both("HEAD", 200)
			}
			ask("GET") // what is written is not all
			server.sendBy(byTwo, head("Content-Length: 7"), "pay")
			client.read()
			server.write("load")
			client.read()
			client.both("GET", 200)
			pipeline(s, client, server, func() { client.write(get(s.target+"/1") + get(s.target+"/2")) },
				func(first, second string) { server.sendBy(byTwo, first, second) })
		}},
		{"interim answers", func(s *stage) {
			client, server := s.tcp()
			client.exchange("POST "+s.target+" HTTP/1.1\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n")
			client.exchange("some body", "HTTP/1.1 102 Processing\r\n\r\n")
			server.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answerOf(201, "made"))
			client.read()
			client.both("POST", 201)
			client.exchange(get(s.target), answerOf(200, "next"))
			client.both("GET", 200)
		}},
		{"chunked with trailers", func(s *stage) {
			client, server := s.tcp()
			client.exchange(get(s.target), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			for _, piece := range []string{"5\r\nhello\r\n", "400\r\n" + repeated(0x400), "\r\n0\r\n", "Trailer: x\r\n", "\r\n"} {
				server.write(piece)
				client.read()
			}
			client.both("GET", 200)
			client.exchange(get(s.target), answerOf(202, "next"))
			client.both("GET", 202)
		}},
		{"chunked request", func(s *stage) {
			client, server := s.tcp()
			client.write("POST " + s.target + " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
			server.read()
			client.exchange("4\r\nabcd\r\n0\r\n\r\n", answerOf(200, ""))
			client.both("POST", 200)
		}},
		{"ends with the connection", func(s *stage) {
			client, server := s.tcp()
			client.exchange("GET "+s.target+" HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nfirst ")
			server.write(repeated(5000))
			client.read()
			server.close()
			client.both("GET", 200)
		}},
		{"pipelined in one write", func(s *stage) {
			client, server := s.tcp()
			pipeline(s, client, server, func() { client.write(get(s.target+"/1") + get(s.target+"/2")) },
				func(first, second string) { server.write(first + second) })
		}},
		{"pipelined one by one", func(s *stage) {
			client, server := s.tcp()
			pipeline(s, client, server, func() {
				client.write(get(s.target + "/1"))
				server.read()
				client.write(get(s.target + "/2"))
			}, func(first, second string) {
				server.write(first)
				client.read()
				server.write(second)
			})
		}},
		{"large body and back", func(s *stage) {
			client, server := s.tcp()
			client.write("PUT " + s.target + " HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + repeated(1000))
			server.read()
			for range 99 {
				client.write(repeated(1000))
				server.read()
			}
			server.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
			for range 100 {
				server.write(repeated(1000))
				client.read()
			}
			client.both("PUT", 200)
		}},
		{"answered before the request is whole", func(s *stage) {
			client, server := s.tcp()
			client.exchange("POST "+s.target+" HTTP/1.1\r\nContent-Length: 5000\r\n\r\n"+repeated(1000), "HTTP/1.1 413 Too Large\r\nContent-Length: 600\r\n\r\n")
			client.write(repeated(4000))
			server.read()
			server.write(repeated(600))
			client.read()
			client.both("POST", 413)
			client.exchange(get(s.target), answerOf(200, "next"))
			client.both("GET", 200)
		}},
		{"heads in pieces", func(s *stage) {
			client, server := s.tcp()
			for _, piece := range []string{"GE", "T " + s.target, " HTTP/1.1\r\nHo", "st: a\r\n\r", "\n"} {
				client.write(piece)
				server.read()
			}
			for _, piece := range []string{"HTT", "P/1.1 2", "00 OK\r\nContent-Len", "gth: 3\r\n\r\n", "abc"} {
				server.write(piece)
				client.read()
			}
			client.both("GET", 200)
		}},
		{"heads byte by byte", func(s *stage) {
			client, server := s.tcp()
			for range 2 {
				client.bytewise("HEAD " + s.target + " HTTP/1.1\r\n\r\n")
				server.bytewise("HTTP/1.1 204 N\r\n\r\n")
				client.both("HEAD", 204)
			}
		}},
		{"long heads byte by byte", func(s *stage) {
			client, server := s.tcp()
			client.bytewise("GET " + s.target + " HTTP/1.1\r\nUser-Agent: " + repeated(100) + "\r\n\r\n")
			server.bytewise("HTTP/1.1 200 OK\r\nServer: " + repeated(100) + "\r\nContent-Length: 3\r\n\r\nabc")
			client.close()
			server.both("GET", 200)
		}},
		{"long heads", func(s *stage) {
			client, server := s.tcp()
			client.exchange("GET "+s.target+" HTTP/1.1\r\nCookie: "+repeated(3000)+"\r\n\r\n", "HTTP/1.1 200 OK\r\nSet-Cookie: "+repeated(3000)+"\r\nContent-Length: 3\r\n\r\nabc")
			server.close()
			client.close()
			client.both("GET", 200)
		}},
	}
}

// pipeline plays two pipelined requests and their answers.
func pipeline(s *stage, client, server *end, ask func(), answer func(first, second string)) {
	ask()
	server.read()
	first, second := answerOf(200, "one"), answerOf(404, "the second")
	answer(first, second)
	client.read()
	base := s.target
	for _, e := range []*end{client, server} {
		s.target = base + "/1"
		x := e.tells("GET", 200, "ok")
		x.Request, x.Response = len(get(s.target)), len(first)
		s.target = base + "/2"
		x = e.tells("GET", 404, "ok")
		x.Request, x.Response = len(get(s.target)), len(second)
	}
	s.target = base
}

// preambleScenarios: bytes before the first request.
func preambleScenarios() []scenario {
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01\x7f\x00\x00\x01\x30\x39\x00\x50"
	var list []scenario
	for name, preamble := range map[string]string{
		"blank line before the request": "\r\n",
		"PROXY v1 in the same write":    "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80\r\n",
		"PROXY v2 in the same write":    v2,
	} {
		list = append(list, scenario{name, func(s *stage) {
			client, _ := s.tcp()
			client.exchange(preamble+get(s.target), answerOf(200, "a"))
			client.both("GET", 200)
			client.exchange(get(s.target), answerOf(404, "b"))
			client.both("GET", 404)
		}})
	}
	for name, preamble := range map[string]string{
		"PROXY v1 in its own write": "PROXY TCP4 192.0.2.1 192.0.2.2 12345 80\r\n",
		"PROXY v2 in its own write": v2,
	} {
		list = append(list, scenario{name, func(s *stage) {
			client, server := s.tcp()
			client.write(preamble)
			server.read()
			client.exchange(get(s.target), answerOf(200, "a"))
			client.both("GET", 200)
		}})
	}
	slices.SortFunc(list, func(a, b scenario) int { return strings.Compare(a.name, b.name) })
	return list
}

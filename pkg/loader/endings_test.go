// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"

	"golang.org/x/sys/unix"
)

// endScenarios: how connections end, and leave HTTP.
func endScenarios() []scenario {
	return []scenario{
		{"closed by the client without an answer", func(s *stage) {
			client, server := s.tcp()
			client.write(get(s.target))
			server.read()
			client.close()
			client.tells("GET", 0, "unanswered")
			server.tells("GET", 0, "unanswered")
		}},
		{"closed by the server without an answer", func(s *stage) {
			client, server := s.tcp()
			client.write(get(s.target))
			server.read()
			server.close()
			client.expectEnd()
			client.tells("GET", 0, "unanswered")
			server.tells("GET", 0, "unanswered")
		}},
		{"reset without an answer", func(s *stage) {
			client, server := s.tcp()
			client.write(get(s.target))
			server.read()
			server.reset()
			client.expectEnd()
			client.tells("GET", 0, "unanswered")
			server.tells("GET", 0, "unanswered")
		}},
		{"reset inside the answer", func(s *stage) {
			client, server := s.tcp()
			client.exchange(get(s.target), "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nsome")
			server.reset()
			client.expectEnd()
			client.tells("GET", 200, "aborted")
			server.tells("GET", 200, "aborted")
		}},
		{"closed inside a chunked answer", func(s *stage) {
			client, server := s.tcp()
			client.exchange(get(s.target), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel")
			server.write("lo\r\n")
			client.read()
			server.close()
			client.expectEnd()
			client.tells("GET", 200, "aborted")
			server.tells("GET", 200, "aborted")
		}},
		{"client goes inside the answer", func(s *stage) {
			client, server := s.tcp()
			client.write(get(s.target))
			server.read()
			server.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
			client.read()
			client.reset()
			server.expectEnd()
			client.tells("GET", 200, "aborted")
			server.tells("GET", 200, "aborted")
		}},
		{"half closed by the client", func(s *stage) {
			client, server := s.tcp()
			client.write(get(s.target))
			must("shutdown", unix.Shutdown(client.fd, unix.SHUT_WR))
			server.read()
			server.expectEnd()
			server.write(answerOf(200, "still "))
			client.read()
			client.both("GET", 200)
		}},
		{"half closed by the server", func(s *stage) {
			client, server := s.tcp()
			client.exchange("GET "+s.target+" HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nto the end")
			must("shutdown", unix.Shutdown(server.fd, unix.SHUT_WR))
			client.expectEnd()
			client.both("GET", 200)
		}},
		{"upgrade", func(s *stage) {
			client, server := s.tcp()
			client.exchange("GET "+s.target+" HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")
			client.tells("GET", 101, "upgraded")
			server.tells("GET", 101, "upgraded")
			client.exchange(get("/not/http"), answerOf(200, "not HTTP"))
		}},
		{"CONNECT", func(s *stage) {
			client, server := s.tcp()
			s.target = "example.com:443"
			client.exchange("CONNECT "+s.target+" HTTP/1.1\r\n\r\n", "HTTP/1.1 200 Established\r\n\r\n")
			client.tells("CONNECT", 200, "upgraded")
			server.tells("CONNECT", 200, "upgraded")
			client.exchange(get("/in/the/tunnel"), answerOf(200, "not ours"))
		}},
		{"not HTTP", func(s *stage) {
			for _, talk := range [][2]string{
				{"*1\r\n$4\r\nPING\r\n", "+PONG\r\n"},
				{"GET foo\r\n", "$-1\r\n"}, // inline Redis
				{"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", "\x16\x03\x03\x00\x05\x02\x00\x00\x01\x03"},
				{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x00\x00\x00\x04\x00\x00\x00\x00\x00"},
				{"SSH-2.0-a\r\n", "SSH-2.0-b\r\n"},
			} {
				client, _ := s.tcp()
				client.exchange(talk[0], talk[1])
				client.exchange("\x01 more", "\x02 more")
			}
		}},
	}
}

// expectEnd reads the end of the stream, or that it was reset.
func (e *end) expectEnd() {
	n, err := unix.Read(e.fd, make([]byte, 100))
	if n > 0 || err != nil && !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
		fail("read at the end: %d bytes, %v", n, err)
	}
}

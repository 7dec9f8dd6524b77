// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"errors"
	"unsafe"

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
		{"closed without an answer, Unix", func(s *stage) {
			client, server := s.unix()
			client.write(get(s.target))
			server.read()
			server.close()
			client.expectEnd()
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
		{"closed behind a chunk that ends like a body", func(s *stage) {
			client, server := s.tcp()
			client.exchange(get(s.target), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n258\r\n"+repeated(600)+"\r\n")
			for range 2 {
				server.write("26\r\n" + repeated(33) + "\r\n0\r\n\r\n")
				client.read()
			}
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
		{"half closed by the client inside its request", func(s *stage) {
			client, server := s.tcp()
			client.write("POST " + s.target + " HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
			must("shutdown", unix.Shutdown(client.fd, unix.SHUT_WR))
			server.read()
			server.expectEnd()
			server.write("HTTP/1.0 400 Bad Request\r\n\r\ntoo short")
			client.read()
			server.close()
			client.expectEnd()
			client.close()
			client.both("POST", 400)
		}},
		{"half closed by the client, who reads when all is over", func(s *stage) {
			client, server := s.tcp()
			client.write(get(s.target))
			must("shutdown", unix.Shutdown(client.fd, unix.SHUT_WR))
			server.read()
			server.expectEnd()
			server.write(answerOf(200, repeated(30000)))
			server.close()
			for client.ready(1000); client.got < server.sent; {
				client.drainSome()
			}
			client.expectEnd()
			client.both("GET", 200)
		}},
		{"half closed by the client, who has not read the answer yet", func(s *stage) {
			client, server := s.tcp()
			client.write(get(s.target))
			server.read()
			server.write(answerOf(200, repeated(30000)))
			server.close()
			client.ready(30000)
			must("shutdown", unix.Shutdown(client.fd, unix.SHUT_WR))
			for client.got < server.sent {
				client.drainSome()
			}
			client.expectEnd()
			client.both("GET", 200)
		}},
		{"half closed by the client while the answer comes", func(s *stage) {
			answer := answerOf(200, "and over")
			for range 2000 { // the end must meet the read, which a few in a thousand do
				client, server := s.tcp()
				client.write(get(s.target))
				done := make(chan string, 1)
				go func() {
					defer close(done)
					defer recoverFailure(func(text string) { done <- text })
					server.read()
					server.write(answer)
					server.close()
				}()
				must("shutdown", unix.Shutdown(client.fd, unix.SHUT_WR))
				for client.got < len(answer) {
					client.drainSome()
				}
				if text := <-done; text != "" {
					fail("%s", text)
				}
				client.expectEnd()
				client.close()
				client.both("GET", 200)
			}
		}},
		{"half closed by the client inside a chunked answer", func(s *stage) {
			client, server := s.tcp()
			client.exchange(get(s.target), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n258\r\n"+repeated(600)+"\r\n")
			server.write("258\r\n" + repeated(600) + "\r\n")
			client.read()
			must("shutdown", unix.Shutdown(client.fd, unix.SHUT_WR))
			client.close()
			server.expectEnd()
			server.close()
			client.tells("GET", 200, "aborted")
			server.tells("GET", 200, "aborted")
		}},
		{"answer read after a reset", func(s *stage) {
			client, server := s.tcp()
			client.write(get(s.target))
			server.read()
			server.write(answerOf(200, "last words"))
			server.reset()
			client.ready(10)
			client.read()
			client.both("GET", 200)
		}},
		{"request read after a reset", func(s *stage) {
			client, server := s.tcp()
			client.exchange(get(s.target), answerOf(200, "first"))
			client.both("GET", 200)
			client.write(get(s.target))
			client.reset()
			server.ready(10)
			server.read()
			client.tells("GET", 0, "unanswered")
			server.tells("GET", 0, "unanswered")
		}},
		{"request to a server that is gone", func(s *stage) {
			client, server := s.tcp()
			client.exchange(get(s.target), answerOf(200, "first"))
			client.both("GET", 200)
			server.close()
			client.write(get(s.target))
			client.expectEnd()
			client.tells("GET", 0, "unanswered")
		}},
		{"first request to a server that is gone", func(s *stage) {
			client, server := s.tcp()
			server.close()
			client.write(get(s.target))
			client.expectEnd()
			client.tells("GET", 0, "unanswered")
		}},
		{"a socket that connects again", func(s *stage) {
			client, server := s.tcp()
			client.exchange(get(s.target), answerOf(200, "first"))
			client.both("GET", 200)
			client.disconnect()
			server.expectEnd()
			listener, address := s.listen(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
			must("connect again", unix.Connect(client.fd, address))
			client, _ = s.pair(client.fd, s.accept(listener), "ipv4", "ipv4")
			for range 2 {
				client.exchange(get(s.target), answerOf(201, "second"))
				client.both("GET", 201)
			}
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

// disconnect makes a new socket of a connected one: connect to no family.
func (e *end) disconnect() {
	nowhere := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	_, _, err := unix.Syscall(unix.SYS_CONNECT, uintptr(e.fd), uintptr(unsafe.Pointer(&nowhere)), unix.SizeofSockaddrInet4)
	if err != 0 {
		fail("disconnect: %v", err)
	}
}

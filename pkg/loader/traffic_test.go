// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// trafficScenarios are parts of other tests than TestScenarios. They repeat
// themselves as often as ordered, and do not tell the whole truth.
func trafficScenarios() []scenario {
	return []scenario{
		{"churn", func(s *stage) {
			for i := range s.repeat {
				s.target = fmt.Sprintf("/churn/%d", i)
				client, server := s.tcp()
				client.exchange(get(s.target), answerOf(200+i%3, repeated(i%50)))
				client.both("GET", 200+i%3)
				switch i % 3 {
				case 0:
					server.close()
				case 1:
					client.reset()
				}
				s.closeAll()
			}
		}},
		{"burst", func(s *stage) {
			client, _ := s.tcp()
			for range s.repeat {
				client.exchange(get(s.target), answerOf(200, "ok"))
				client.both("GET", 200)
			}
		}},
		{"on the known port", func(s *stage) {
			address := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: s.knownPort}
			client, _ := s.pair(s.connect(address), s.accept(s.listener), "ipv4", "ipv4")
			onNamedThread("a thread", func() {
				for range 3 {
					client.exchange(get(s.target), answerOf(200, "port"))
				}
			})
		}},
		{"answers with long heads", func(s *stage) {
			client, server := s.tcp()
			for _, c := range calls() {
				client.write(get(s.target))
				server.read()
				pieces := []string{"HTTP/1.1 200 OK\r\nSet-Cookie: " + repeated(300), repeated(300) + "\r\nContent-Le", "ngth: 900\r\n\r\n", repeated(900)}
				sizes := []int{200, 400}
				if c.name == "recvmmsg and sendmmsg" { // to which these would be messages
					pieces, sizes = []string{strings.Join(pieces, "")}, nil
				}
				server.sendBy(c, pieces...)
				client.recvBy(c, sizes...)
				client.both("GET", 200)
			}
		}},
		{"TLS on the known port", func(s *stage) {
			address := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: s.knownPort}
			client, _ := s.pair(s.connect(address), s.accept(s.listener), "ipv4", "ipv4")
			client.exchange("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", "\x16\x03\x03\x00\x05\x02\x00\x00\x01\x03")
		}},
		{"head in messages of one call", headInMessages},
		{"neither way HTTP", func(s *stage) {
			client, _ := s.tcp()
			for range 20 {
				client.exchange("\x01\x02\x03", "\x04\x05\x06")
			}
		}},
		{"by io_uring", func(s *stage) {
			client, server := s.tcp()
			exchangeByUring(client, server, get(s.target), answerOf(200, "unseen"))
		}},
		{"no buffer to read", func(s *stage) {
			client, server := s.tcp()
			client.exchange(get(s.target), answerOf(200, "known"))
			client.both("GET", 200)
			exchangeByUring(client, server, get(s.target), answerOf(201, "io_uring"))
			client.both("GET", 201)
			client.write(get(s.target))
			server.read()
			server.sendfile(answerOf(202, "sendfile"))
			client.read()
			client.both("GET", 202)
		}},
		{"answer while the next request is read", answerWhileReading},
		{"whole answer by sendfile", func(s *stage) {
			client, server := s.tcp()
			client.write(get(s.target))
			server.read()
			server.sendfile(repeated(1000))
			client.read()
		}},
		{"keep a connection", func(s *stage) {
			client, server := s.tcp()
			client.exchange(get(s.target), answerOf(200, "kept"))
			s.kept, s.open = [2]*end{client, server}, nil
		}},
		{"begin a long text and keep the connection", func(s *stage) {
			client, server := s.tcp()
			client.write(get(s.target))
			server.read()
			server.write("HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + words(1000))
			client.read()
			s.kept, s.open = [2]*end{client, server}, nil
		}},
		{"end the long text, then ask", func(s *stage) {
			client, server := s.kept[0], s.kept[1]
			for range 4 {
				server.write(words(1000))
				client.read()
			}
			client.toldSent, client.toldGot = client.sent, client.got
			server.toldSent, server.toldGot = server.sent, server.got
			for range 3 {
				client.exchange(get(s.target), answerOf(200, "again"))
				client.both("GET", 200)
			}
		}},
		{"ask on a connection and keep it", func(s *stage) {
			client, server := s.tcp()
			client.write(get(s.target))
			server.read()
			s.kept, s.open = [2]*end{client, server}, nil
		}},
		{"close the kept connection", func(s *stage) {
			s.kept[0].close()
			s.kept[1].close()
		}},
		{"ask on the kept connection", func(s *stage) {
			client, server := s.kept[0], s.kept[1]
			client.write(get(s.target))
			server.read()
		}},
		{"answer on the kept connection", func(s *stage) {
			client, server := s.kept[0], s.kept[1]
			s.target = "/ask-on-the-kept-connection"
			server.toldSent, server.toldGot = server.sent, server.got-len(get(s.target))
			client.toldSent, client.toldGot = client.sent-len(get(s.target)), client.got
			server.write(answerOf(200, "at last"))
			client.read()
			client.both("GET", 200)
		}},
		{"in no hurry", timed},
		{"while an answer goes on", interleaved},
		{"bytes by splice", func(s *stage) {
			client, server := s.tcp()
			client.spliceIn(100)
			server.read()
		}},
		{"late reads", lateReads},
		{"splice an answer on the kept connection", splicedAnswer},
		{"burst on the kept connection", func(s *stage) {
			client := s.kept[0]
			client.toldSent, client.toldGot = client.sent, client.got
			client.peer.toldSent, client.peer.toldGot = client.got, client.sent
			for range s.repeat {
				client.exchange(get(s.target), answerOf(200, "again"))
				client.both("GET", 200)
			}
		}},
	}
}

// words are n bytes of text in which every word looks like a method.
func words(n int) string {
	return strings.Repeat("lorem ipsum dolor sit amet ", n/20)[:n]
}

// onNamedThread does something on a thread whose name is not that of the process.
func onNamedThread(name string, do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocks: the thread ends
		if unix.Gettid() == os.Getpid() {
			onNamedThread(name, do) // the main thread's name is that of the process
			return
		}
		text, err := unix.BytePtrFromString(name)
		must("name", err)
		must("name thread", unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(text)), 0, 0, 0))
		do()
	}()
	<-done
}

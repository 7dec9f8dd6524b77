// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// stage is where a player plays: scripts that run in one thread, one call after
// the other, so that the truth about every byte is known.
type stage struct {
	worker *worker
	// old is a connection from before the probe was attached: one request was
	// answered on it, another one was read.
	old [2]*end
	// first is another one, on which only one request was read.
	first [2]*end
	// kept is a connection that stays open between two scenarios.
	kept [2]*end
	// listener has a port that the test knows before it attaches.
	listener, knownPort int
	// target of the scenario's requests, and how often to play where it says so.
	target string
	repeat int
	truth  []exchange
	times  []moments
	open   []int
}

// failure is what stops a script.
type failure struct{ text string }

func fail(format string, args ...any) { panic(failure{fmt.Sprintf(format, args...)}) }

// must stops the script if a call that cannot fail has failed.
func must(what string, err error) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func newStage() (s *stage, err error) {
	defer recoverFailure(func(text string) { err = fmt.Errorf("set the stage: %s", text) })
	s = &stage{target: "/old"}
	s.worker = startWorker()
	client, server := s.tcp()
	client.write(get(s.target))
	server.read()
	server.write(answerOf(200, "old"))
	client.read()
	client.write(get(s.target))
	server.read()
	s.old = [2]*end{client, server}
	client, server = s.tcp()
	client.write(get(s.target))
	server.read()
	s.first = [2]*end{client, server}
	listener, address := s.listen(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	s.listener, s.knownPort = listener, address.(*unix.SockaddrInet4).Port
	s.open = nil
	return s, nil
}

func recoverFailure(tell func(text string)) {
	switch p := recover().(type) {
	case nil:
	case failure:
		tell(p.text)
	default:
		panic(p)
	}
}

// perform plays one scenario and closes every connection that it left open.
func (s *stage) perform(o order) (r report) {
	defer s.closeAll()
	defer recoverFailure(func(text string) { r = report{Error: o.Scenario + ": " + text} })
	for _, sc := range slices.Concat(scenarios(), trafficScenarios(), olderScenarios()) {
		if sc.name == o.Scenario {
			s.target = "/" + strings.ReplaceAll(sc.name, " ", "-")
			s.repeat, s.truth, s.times = o.Repeat, nil, nil
			sc.play(s)
			return report{Truth: s.truth, Times: s.times}
		}
	}
	return report{Error: "no scenario " + o.Scenario}
}

func (s *stage) closeAll() {
	for _, fd := range s.open {
		unix.Close(fd)
	}
	s.open = nil
}

// end is one end of a connection, with what moved since it was last told.
type end struct {
	s         *stage
	fd        int
	role      string
	family    string
	peer      *end
	sent, got int // bytes since the connection began
	// toldSent and toldGot were told in exchanges before.
	toldSent, toldGot int
}

func (s *stage) pair(client, server int, clientFamily, serverFamily string) (c, srv *end) {
	c = &end{s: s, fd: client, role: "client", family: clientFamily}
	srv = &end{s: s, fd: server, role: "server", family: serverFamily, peer: c}
	c.peer = srv
	for _, e := range []*end{c, srv} {
		for _, option := range []int{unix.SO_RCVTIMEO, unix.SO_SNDTIMEO} {
			must("set timeout", unix.SetsockoptTimeval(e.fd, unix.SOL_SOCKET, option, &unix.Timeval{Sec: 5}))
		}
		if e.family != "unix" {
			must("set nodelay", unix.SetsockoptInt(e.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1))
		}
	}
	return c, srv
}

// tcp connects to a listener of its own over IPv4.
func (s *stage) tcp() (client, server *end) {
	listener, address := s.listen(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	return s.pair(s.connect(address), s.accept(listener), "ipv4", "ipv4")
}

func (s *stage) tcp6() (client, server *end) {
	listener, address := s.listen(&unix.SockaddrInet6{Addr: [16]byte{15: 1}})
	return s.pair(s.connect(address), s.accept(listener), "ipv6", "ipv6")
}

// mapped is an IPv4 client of an IPv6 listener: v4-mapped addresses at one end,
// which are told as what they are.
func (s *stage) mapped() (client, server *end) {
	listener, address := s.listen(&unix.SockaddrInet6{})
	port := address.(*unix.SockaddrInet6).Port
	client4 := s.connect(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port})
	return s.pair(client4, s.accept(listener), "ipv4", "ipv4")
}

// unix connects through a name in the abstract space.
func (s *stage) unix() (client, server *end) {
	listener, address := s.listen(&unix.SockaddrUnix{Name: fmt.Sprintf("@probe-test-%d-%d", os.Getpid(), len(s.open))})
	return s.pair(s.connect(address), s.accept(listener), "unix", "unix")
}

func socketFor(address unix.Sockaddr) int {
	domain := unix.AF_INET
	switch address.(type) {
	case *unix.SockaddrInet6:
		domain = unix.AF_INET6
	case *unix.SockaddrUnix:
		domain = unix.AF_UNIX
	}
	fd, err := unix.Socket(domain, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	must("socket", err)
	return fd
}

func (s *stage) listen(address unix.Sockaddr) (int, unix.Sockaddr) {
	fd := s.keep(socketFor(address))
	must("bind", unix.Bind(fd, address))
	must("listen", unix.Listen(fd, 128))
	bound, err := unix.Getsockname(fd)
	must("getsockname", err)
	return fd, bound
}

func (s *stage) connect(address unix.Sockaddr) int {
	fd := s.keep(socketFor(address))
	must("connect", unix.Connect(fd, address))
	return fd
}

func (s *stage) accept(listener int) int {
	fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	must("accept", err)
	return s.keep(fd)
}

func (s *stage) keep(fd int) int {
	s.open = append(s.open, fd)
	return fd
}

// close closes the end now, not at the end of the scenario.
func (e *end) close() {
	must("close", unix.Close(e.fd))
	for i, fd := range e.s.open {
		if fd == e.fd {
			e.s.open = append(e.s.open[:i], e.s.open[i+1:]...)
			break
		}
	}
	e.fd = -1
}

// reset closes the end with an RST.
func (e *end) reset() {
	must("set linger", unix.SetsockoptLinger(e.fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}))
	e.close()
}

// tells adds to the truth the exchange that this end saw since it last told
// one: method "" is a request from before the probe.
func (e *end) tells(method string, status int, outcome string) *exchange {
	x := exchange{
		Role: e.role, Method: method, Target: e.s.target, Status: status, Outcome: outcome,
		Request: e.got - e.toldGot, Response: e.sent - e.toldSent, Family: e.family,
		PID: os.Getpid(), TID: anyThread,
	}
	if e.role == "client" {
		x.Request, x.Response = x.Response, x.Request
	}
	e.toldGot, e.toldSent = e.got, e.sent
	e.s.truth = append(e.s.truth, x)
	return &e.s.truth[len(e.s.truth)-1]
}

// anyThread: the player does not say which thread made the call.
const anyThread = 0

// both tells an exchange that both ends saw whole.
func (e *end) both(method string, status int) {
	outcome := "ok"
	if status >= 500 {
		outcome = "error"
	}
	e.tells(method, status, outcome)
	e.peer.tells(method, status, outcome)
}

// get is a request without a body, answerOf an answer with its length.
func get(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: test\r\n\r\n" }

func answerOf(status int, body string) string {
	return fmt.Sprintf("HTTP/1.1 %d Reason\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

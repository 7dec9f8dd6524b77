// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"probe/scripts/process"
)

// Servers that measure themselves. They run in a process of their own, this
// program started again, and print one line per request:
//
//	own|tag|first ns|second ns
//
// For the net/http server these are ttfb and duration; for the raw one the
// readings of CLOCK_MONOTONIC when accept and when read returned.

const timedServerArg = "serve-timed"

// rawMode says when the raw server is late.
type rawMode int

const (
	notRaw     rawMode = iota
	lateRead           // before every read but the first of a connection
	lateAccept         // before accept
	lateBoth           // before accept and before the first read
)

const (
	readDelay   = 20 * time.Millisecond
	acceptDelay = 50 * time.Millisecond
)

func startTimed(dir string, port int, c timeCase) (*process.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	p, err := process.Start(dir, "timed", nil, self, timedServerArg, strconv.Itoa(port), strconv.Itoa(int(c.raw)))
	if err != nil {
		return nil, err
	}
	// The raw server must not see a connection before the probe does, so look
	// at its log instead of connecting.
	for deadline := time.Now().Add(ioTimeout); ; time.Sleep(10 * time.Millisecond) {
		if b, err := os.ReadFile(p.Stderr); err == nil && strings.Contains(string(b), "ready") {
			return p, nil
		}
		if p.Ended() || time.Now().After(deadline) {
			p.Stop()
			return nil, fmt.Errorf("the measuring server did not start: %s", process.Tail(p.Stderr))
		}
	}
}

// serveTimed is the other end of startTimed.
func serveTimed(port, mode string) error {
	m, err := strconv.Atoi(mode)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	if rawMode(m) != notRaw {
		return serveRaw(n, rawMode(m))
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "ready")
	return http.Serve(l, timedApp())
}

// timedApp answers with two bytes and measures from the call of the handler to
// the return of the flush that hands a byte to the kernel.
func timedApp() http.Handler {
	var mu sync.Mutex
	answer := func(w http.ResponseWriter, r *http.Request, first, second time.Duration) {
		begin := time.Now()
		w.Header().Set("Content-Length", "2")
		flush := http.NewResponseController(w).Flush
		time.Sleep(first)
		text := "ab"
		if second > 0 {
			text = "a"
		}
		io.WriteString(w, text)
		flush()
		ttfb := time.Since(begin)
		if second > 0 {
			time.Sleep(second)
			io.WriteString(w, "b")
			flush()
		}
		total := ttfb
		if second > 0 {
			total = time.Since(begin)
		}
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("own|%s|%d|%d\n", r.URL.Query().Get("c"), ttfb, total)
	}
	wait := func(r *http.Request) time.Duration {
		ms, _ := strconv.Atoi(r.PathValue("ms"))
		return time.Duration(ms) * time.Millisecond
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/timed/{ms}", func(w http.ResponseWriter, r *http.Request) { answer(w, r, wait(r), 0) })
	mux.HandleFunc("/halves/{ms}", func(w http.ResponseWriter, r *http.Request) { answer(w, r, wait(r), wait(r)) })
	return mux
}

// serveRaw uses blocking system calls only, so that nothing but the delays is
// between the arrival of a request and its read.
func serveRaw(port int, mode rawMode) error {
	l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if err := unix.Bind(l, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(l, 16); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Fprintln(os.Stderr, "ready")
	for {
		if mode != lateRead {
			if err := waitReadable(l); err != nil {
				return err
			}
			time.Sleep(acceptDelay)
		}
		c, _, err := unix.Accept(l)
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		if err := answerRaw(c, monotonic(), mode); err != nil {
			return err
		}
	}
}

func waitReadable(fd int) error {
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if err != unix.EINTR {
			return err
		}
	}
}

// answerRaw answers the requests of one connection; each fits one read.
func answerRaw(c int, accepted int64, mode rawMode) error {
	defer unix.Close(c)
	buf := make([]byte, 4096)
	if mode == lateBoth {
		time.Sleep(readDelay)
	}
	for {
		n, err := unix.Read(c, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return nil // the client is done
		}
		read := monotonic()
		if _, err := unix.Write(c, []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")); err != nil {
			return nil
		}
		_, target := splitRequestLine(string(buf[:n]))
		fmt.Printf("own|%s|%d|%d\n", tagOf(target), accepted, read)
		if mode == lateRead {
			time.Sleep(readDelay)
		}
	}
}

// monotonic reads CLOCK_MONOTONIC, the same in every process, in nanoseconds.
func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}

// sent is when the client connected and sent, in CLOCK_MONOTONIC nanoseconds.
type sent struct{ connected, sent int64 }

// play sends the case's requests: on one kept connection, or each on its own
// where the server is late to accept.
func (c timeCase) play(address string) (map[string]sent, error) {
	path, perConn := c.path, c.raw == lateAccept || c.raw == lateBoth
	if path == "" {
		path = "/raw"
	}
	sends := map[string]sent{}
	var k *conn
	var at sent
	for i := range c.samples {
		if k == nil || perConn {
			var err error
			if k, err = dial("tcp", address); err != nil {
				return nil, err
			}
			defer k.Close()
			at.connected = monotonic()
		}
		tag := fmt.Sprintf("times-%d", i)
		at.sent = monotonic()
		if _, err := k.do(request{method: "GET", target: path + "?c=" + tag}); err != nil {
			return nil, err
		}
		sends[tag] = at
		if perConn {
			k.Close()
		}
	}
	return sends, nil
}

// readOwnTimes reads what the server printed and relates it to the client's
// clock where the server cannot know when a request arrived.
func readOwnTimes(path string, sends map[string]sent) (map[string]ownTimes, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	own := map[string]ownTimes{}
	for s := bufio.NewScanner(f); s.Scan(); {
		p := strings.Split(s.Text(), "|")
		if len(p) != 4 || p[0] != "own" {
			continue
		}
		first, second := logNumber(p[2]), logNumber(p[3])
		at := sends[p[1]]
		o := ownTimes{ttfb: time.Duration(first), duration: time.Duration(second)}
		o.accept = time.Duration(max(0, first-max(at.connected, at.sent)))
		o.socket = time.Duration(second-at.sent) - o.accept
		own[p[1]] = o
	}
	return own, nil
}

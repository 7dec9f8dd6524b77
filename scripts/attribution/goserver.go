// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Arguments by which this program starts itself as a server.
const (
	goServerArg   = "serve-go"
	downstreamArg = "serve-downstream"
)

const workTime = 50 * time.Millisecond

// ownServer returns the server an argument stands for, or nil.
func ownServer(arg string) func([]string) error {
	switch arg {
	case goServerArg:
		return serveGo
	case downstreamArg:
		return serveDownstream
	}
	return nil
}

// serveDownstream answers every request after 50 ms. Argument: port.
func serveDownstream(args []string) error {
	return http.ListenAndServe("127.0.0.1:"+args[0], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(workTime)
		_, _ = io.WriteString(w, "ok\n") // the client may be gone
	}))
}

// goServer is the net/http server under test.
type goServer struct {
	downstream string
	lock       sync.Mutex
	folder     string
	chunk      []byte
	files      sync.Map // client → descriptor
}

// serveGo runs it. Arguments: port, port of the downstream server, folder.
func serveGo(args []string) error {
	s := &goServer{downstream: "http://127.0.0.1:" + args[1] + "/", folder: args[2], chunk: make([]byte, 1<<20)}
	port, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	holder, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		return err
	}
	go s.hold(holder)
	return http.ListenAndServe("127.0.0.1:"+args[0], s)
}

// hold holds the lock for 50 ms whenever a datagram asks for it.
func (s *goServer) hold(c *net.UDPConn) {
	b := make([]byte, 1)
	for {
		_, peer, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		s.lock.Lock()
		_, _ = c.WriteTo(b, peer) // the client would notice
		time.Sleep(workTime)
		s.lock.Unlock()
	}
}

func (s *goServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client, _, _ := strings.Cut(r.URL.Query().Get("n"), "-")
	before := measure()
	if err := s.work(r.URL.Path, client, before.now); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	after := measure()
	o := own{Added: after.now.Sub(before.now)}
	if before.tid == after.tid {
		o.CPU, o.RunQ = after.threadCPU-before.threadCPU, after.threadRunQ-before.threadRunQ
	} else {
		o.CPU, o.RunQ, o.Shared = after.cpu-before.cpu, after.runq-before.runq, true
	}
	b, err := json.Marshal(o)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(b) // the client would notice
}

func (s *goServer) work(path, client string, began time.Time) error {
	switch path {
	case "/spin":
		for time.Since(began) < workTime {
		}
	case "/sleep":
		time.Sleep(workTime)
	case "/lock":
		s.lock.Lock()
		defer s.lock.Unlock()
	case "/net":
		r, err := http.Get(s.downstream)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, r.Body)
		return errors.Join(err, r.Body.Close())
	case "/disk", "/memory":
		file, err := s.data(client)
		if err == nil && path == "/disk" {
			return s.useDisk(file, began)
		}
		if err == nil {
			return s.useMemory(file, began)
		}
		return err
	}
	return nil
}

// data opens the file of a client: each has its own, so that they do not lock
// one another out.
func (s *goServer) data(client string) (int, error) {
	if file, ok := s.files.Load(client); ok {
		return file.(int), nil
	}
	file, err := unix.Open(filepath.Join(s.folder, "data-"+client), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
	s.files.Store(client, file)
	return file, err
}

func (s *goServer) useDisk(file int, began time.Time) error {
	into := make([]byte, len(s.chunk))
	for offset := int64(0); time.Since(began) < workTime; offset = (offset + 1<<20) % (64 << 20) {
		_, err := unix.Pwrite(file, s.chunk, offset)
		err = errors.Join(err, unix.Fsync(file), unix.Fadvise(file, 0, 0, unix.FADV_DONTNEED))
		if _, readErr := unix.Pread(file, into, offset); err != nil || readErr != nil {
			return errors.Join(err, readErr)
		}
	}
	return nil
}

// useMemory dirties page cache.
func (s *goServer) useMemory(file int, began time.Time) error {
	for offset := int64(0); time.Since(began) < 3*workTime; offset = (offset + 1<<20) % (512 << 20) {
		if _, err := unix.Pwrite(file, s.chunk, offset); err != nil {
			return err
		}
	}
	return nil
}

// clocks are this process's own, and those of the thread it is on.
type clocks struct {
	now                   time.Time
	tid                   int
	cpu, runq             time.Duration
	threadCPU, threadRunQ time.Duration
}

func measure() clocks {
	c := clocks{tid: unix.Gettid(), cpu: cpuClock(unix.CLOCK_PROCESS_CPUTIME_ID), threadCPU: cpuClock(unix.CLOCK_THREAD_CPUTIME_ID)}
	tasks, _ := filepath.Glob("/proc/self/task/*/schedstat") // the pattern is well formed
	for _, path := range tasks {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // threads end
		}
		delay := field(string(b), 1)
		c.runq += delay
		if path == fmt.Sprintf("/proc/self/task/%d/schedstat", c.tid) {
			c.threadRunQ = delay
		}
	}
	c.now = time.Now()
	return c
}

func cpuClock(id int32) time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(id, &t) // these clocks exist everywhere
	return time.Duration(t.Nano())
}

// field returns one of the numbers of a line.
func field(line string, i int) time.Duration {
	f := strings.Fields(line)
	if i >= len(f) {
		return 0
	}
	n, _ := strconv.ParseInt(f[i], 10, 64) // the kernel wrote it
	return time.Duration(n)
}

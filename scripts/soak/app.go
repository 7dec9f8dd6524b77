// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// countsPath answers with how many requests there were, by the first segment
// of their paths.
const countsPath = "/counts"

// app is a server that counts what it is asked.
type app struct {
	mu     sync.Mutex
	counts map[string]uint64
}

// serveApp serves on a port and on a Unix socket.
func serveApp(port, socket string) error {
	tcp, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	unix, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := http.Server{Handler: &app{counts: map[string]uint64{}}}
	failed := make(chan error, 2)
	go func() { failed <- server.Serve(tcp) }()
	go func() { failed <- server.Serve(unix) }()
	return <-failed
}

func (a *app) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == countsPath {
		a.mu.Lock()
		defer a.mu.Unlock()
		_ = json.NewEncoder(w).Encode(a.counts) // who asks, sees it
		return
	}
	first, _, _ := strings.Cut(r.URL.Path[1:], "/")
	a.mu.Lock()
	a.counts[first]++
	a.mu.Unlock()
	switch first {
	case partChunked:
		a.chunked(w, r)
	case partAborted:
		a.abandoned(w, r)
	default:
		fmt.Fprintln(w, "ok")
	}
}

// chunked takes a body in chunks and answers in chunks.
func (a *app) chunked(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for range 3 {
		fmt.Fprintf(w, "%d bytes\n", n)
		_ = http.NewResponseController(w).Flush() // the client would notice
	}
}

// abandoned begins an answer and waits for the client to go away.
func (a *app) abandoned(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, "soon")
	_ = http.NewResponseController(w).Flush() // the client would notice
	select {
	case <-r.Context().Done():
	case <-time.After(10 * time.Second):
	}
}

// askCounts asks a server for its counts.
func askCounts(port int) (map[string]uint64, error) {
	client := http.Client{Timeout: ioTimeout, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", port, countsPath))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	counts := map[string]uint64{}
	return counts, json.NewDecoder(answer.Body).Decode(&counts)
}

// nodeScript is the same in JavaScript, as far as it is needed.
const nodeScript = `// SPDX-License-Identifier: Apache-2.0
const counts = {};
require('http').createServer((q, r) => {
  if (q.url === '/counts') return r.end(JSON.stringify(counts));
  const first = q.url.split('/')[1];
  counts[first] = (counts[first] || 0) + 1;
  r.end('ok\n');
}).listen(+process.argv[2], '127.0.0.1');
`

// serveBrief serves one connection at a time on a port that it says, one
// request on each, and ends after as many as it was told.
func serveBrief(times string) error {
	left, err := number(times)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, l.Addr().(*net.TCPAddr).Port)
	for ; left > 0; left-- {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return err
		}
		const answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"
		if _, err := io.WriteString(conn, answer); err != nil {
			return fmt.Errorf("answer %s: %w", r.URL, err)
		}
		conn.Close()
	}
	return nil
}

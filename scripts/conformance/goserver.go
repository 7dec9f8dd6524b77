// SPDX-License-Identifier: Apache-2.0

package main

import (
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
)

// The Go net/http server under test. It runs in a process of its own: this
// program started again with the goServerArg.

const goServerArg = "serve-go"

// startGo listens on 127.0.0.1 and ::1 unless the port is 0, and on the Unix
// socket.
func startGo(s *site) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	return s.launch(self, goServerArg)
}

func serveGo() error {
	port, unix, root := os.Getenv("CONF_PORT"), os.Getenv("CONF_UNIX"), os.Getenv("CONF_ROOT")
	srv := &http.Server{Handler: logged(goApp(root))}
	addresses := [][2]string{{"unix", unix}}
	if port != "0" {
		addresses = append(addresses, [2]string{"tcp", net.JoinHostPort("127.0.0.1", port)}, [2]string{"tcp", net.JoinHostPort("::1", port)})
	}
	failed := make(chan error, len(addresses))
	for _, a := range addresses {
		l, err := net.Listen(a[0], a[1])
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		go func() { failed <- srv.Serve(l) }()
	}
	return <-failed
}

func goApp(root string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/hello", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello\n") })
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.PathValue("code"))
		if err != nil {
			code = http.StatusNotFound
		}
		w.WriteHeader(code)
		if code != http.StatusNoContent && code != http.StatusNotModified {
			io.WriteString(w, "status\n")
		}
	})
	mux.HandleFunc("/post", func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
		fmt.Fprintln(w, n)
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "too much", http.StatusRequestEntityTooLarge)
	})
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(root, "big"))
	})
	mux.HandleFunc("/chunked", pieces(5, 0, strings.Repeat("x", 7)))
	mux.HandleFunc("/stream", pieces(10, 50*time.Millisecond, strings.Repeat("s", 1000)))
	mux.HandleFunc("/trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Sum, X-Count")
		pieces(3, 0, "t")(w, r)
		w.Header().Set("X-Sum", "abc")
		w.Header().Set("X-Count", "3")
	})
	mux.HandleFunc("/sleep/{ms}", func(w http.ResponseWriter, r *http.Request) {
		ms, _ := strconv.Atoi(r.PathValue("ms"))
		time.Sleep(time.Duration(ms) * time.Millisecond)
		io.WriteString(w, "slept\n")
	})
	mux.HandleFunc("/upgrade", func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(c, rw)
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
		io.WriteString(w, "hinted\n")
	})
	return mux
}

// pieces answers with n flushed pieces of text, delay apart.
func pieces(n int, delay time.Duration, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := range n {
			if i > 0 {
				time.Sleep(delay)
			}
			if _, err := io.WriteString(w, text); err != nil {
				return
			}
			if err := http.NewResponseController(w).Flush(); err != nil {
				return
			}
		}
	}
}

// logged prints one access log line per request, in our own format.
func logged(next http.Handler) http.Handler {
	var mu sync.Mutex
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &countingWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(c, r)
		if r.URL.Path == "/upgrade" {
			c.status = http.StatusSwitchingProtocols
		}
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf("%s%d|-|%d|-|%s %s %s\n", logPrefix, c.status, c.body, r.Method, r.RequestURI, r.Proto)
	})
}

// countingWriter remembers the final status and counts the body.
type countingWriter struct {
	http.ResponseWriter
	status int
	body   int64
}

func (c *countingWriter) WriteHeader(status int) {
	if status >= 200 {
		c.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *countingWriter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.body += int64(n)
	return n, err
}

// ReadFrom keeps sendfile reachable.
func (c *countingWriter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(c.ResponseWriter, r)
	c.body += n
	return n, err
}

// Unwrap gives http.ResponseController the writer below.
func (c *countingWriter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
)

// The server and its client: separate processes, because probe leaves out itself
// and this is also how traffic is.
const (
	serverAddr   = "127.0.0.1:8080"
	requestCount = 200
	perConn      = 40 // requests on a connection
)

// exchange is a request and its answer, as the client counted them and as
// probe trace prints them.
type exchange struct {
	Method        string `json:"method"`
	Target        string `json:"target"`
	Status        int    `json:"status"`
	RequestBytes  uint64 `json:"request_bytes"`
	ResponseBytes uint64 `json:"response_bytes"`
}

// plan is what the request with this number is.
func plan(i int) (method string, status, requestBody, responseBody int) {
	methods := []string{"GET", "POST", "PUT", "DELETE", "HEAD"}
	statuses := []int{200, 404, 201, 200, 503, 204, 302}
	method, status = methods[i%len(methods)], statuses[i%len(statuses)]
	if method == "POST" || method == "PUT" {
		requestBody = (i % 11) * 100 // some of them without a body
	}
	if method != "HEAD" && status != 204 {
		responseBody = (i % 13) * 700 // up to more than one piece
	}
	return method, status, requestBody, responseBody
}

func serve() error {
	handler := func(w http.ResponseWriter, r *http.Request) {
		var i int
		if _, err := fmt.Sscanf(r.URL.Path, "/smoke/%d", &i); err != nil {
			http.Error(w, "unknown target", http.StatusTeapot)
			return
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		_, status, _, body := plan(i)
		w.WriteHeader(status)
		if body > 0 {
			_, _ = io.WriteString(w, strings.Repeat("x", body)) // the client counts
		}
	}
	return http.ListenAndServe(serverAddr, http.HandlerFunc(handler))
}

// countedConn counts what moves over a connection.
type countedConn struct {
	net.Conn
	read, written *atomic.Uint64
}

func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.read.Add(uint64(n))
	return n, err
}

// Write counts before: the answer may be here before the call returns.
func (c countedConn) Write(b []byte) (int, error) {
	c.written.Add(uint64(len(b)))
	return c.Conn.Write(b)
}

// request sends all of the plan, one after the other, and writes what it saw.
func request(w io.Writer) error {
	var read, written atomic.Uint64
	transport := &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return countedConn{conn, &read, &written}, err
	}}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	out := json.NewEncoder(w)
	for i := range requestCount {
		method, _, body, _ := plan(i)
		target := fmt.Sprintf("/smoke/%d", i)
		req, err := http.NewRequest(method, "http://"+serverAddr+target, strings.NewReader(strings.Repeat("y", body)))
		if err != nil {
			return err
		}
		r0, w0 := read.Load(), written.Load()
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
		if err := resp.Body.Close(); err != nil {
			return err
		}
		e := exchange{Method: method, Target: target, Status: resp.StatusCode, RequestBytes: written.Load() - w0, ResponseBytes: read.Load() - r0}
		if err := out.Encode(e); err != nil {
			return err
		}
		if i%perConn == perConn-1 {
			transport.CloseIdleConnections()
		}
	}
	return nil
}

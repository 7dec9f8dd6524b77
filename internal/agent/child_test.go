// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"probe/internal/testutil"
)

// The agent does not observe its own process, so the traffic is made by a
// child: this binary again. It serves HTTP, and asks itself as often as told.
const childEnv = "PROBE_AGENT_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
	case childAgent:
		os.Exit(agentMain())
	default:
		os.Exit(childMain())
	}
	testutil.Main(m)
}

// child makes the traffic of a test.
type child struct {
	t     *testing.T
	pid   uint32
	stdin io.WriteCloser
	lines *bufio.Scanner
}

func startChild(t *testing.T) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close() // the child ends with its input
		kill := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil {
			t.Errorf("child: %v", err)
		}
	})
	return &child{t: t, pid: uint32(cmd.Process.Pid), stdin: stdin, lines: bufio.NewScanner(stdout)}
}

// request has the child make n requests and waits until they are answered.
func (c *child) request(n int) {
	c.t.Helper()
	if err := c.tryRequest(n); err != nil {
		c.t.Fatal(err)
	}
}

// tryRequest is request for other goroutines than that of the test.
func (c *child) tryRequest(n int) error {
	if _, err := fmt.Fprintln(c.stdin, n); err != nil {
		return err
	}
	if !c.lines.Scan() || c.lines.Text() != "done" {
		return fmt.Errorf("child: %q, %w", c.lines.Text(), c.lines.Err())
	}
	return nil
}

func childMain() int {
	if err := serveOrders(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		return 1
	}
	return 0
}

// serveOrders reads a number of requests per line, and says when they are done.
func serveOrders(in io.Reader, out io.Writer) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(handle)}
	go server.Serve(listener)
	defer server.Close()
	orders := bufio.NewScanner(in)
	for orders.Scan() {
		n, err := strconv.Atoi(orders.Text())
		if err != nil {
			return err
		}
		for i := range n {
			if err := ask(listener.Addr().String(), i); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(out, "done"); err != nil {
			return err
		}
	}
	return orders.Err()
}

// statusOf is how the i-th request of an order is answered.
func statusOf(i int) int {
	if i%10 == 9 {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}

func handle(w http.ResponseWriter, r *http.Request) {
	i, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/items/"))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.WriteHeader(statusOf(i))
	fmt.Fprintf(w, "item %d\n", i)
}

func ask(address string, i int) error {
	response, err := http.Get(fmt.Sprintf("http://%s/items/%d", address, i))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != statusOf(i) {
		return fmt.Errorf("request %d: status %d", i, response.StatusCode)
	}
	return nil
}

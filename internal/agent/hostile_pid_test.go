// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"probe/internal/agent"
	"probe/internal/testutil"
)

// lastPID is the kernel's file that says which pid was given out last; the next
// process gets the next one that is free.
const lastPID = "/proc/sys/kernel/ns_last_pid"

// startAs starts a program under a given pid. Another process of the host may
// take it first, and then have it for a while.
func startAs(t *testing.T, pid int, program string, args ...string) *exec.Cmd {
	t.Helper()
	for range 200 {
		if err := os.WriteFile(lastPID, fmt.Append(nil, pid-1), 0); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if cmd.Process.Pid == pid {
			return cmd
		}
		end(cmd)
	}
	t.Fatalf("pid %d is not free again", pid)
	return nil
}

func end(cmd *exec.Cmd) {
	cmd.Process.Kill()
	cmd.Wait()
}

// named copies the server of the container tests to a file of that name.
func named(t *testing.T, dir, server, name string) string {
	t.Helper()
	binary, err := os.ReadFile(server)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// awaitServer makes requests until the first is answered, and then n-1 more.
func awaitServer(t *testing.T, address string, n int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}
	defer client.CloseIdleConnections()
	for tries := 0; n > 0; {
		response, err := client.Get("http://" + address + "/named")
		if err != nil {
			if tries++; tries > 500 {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
			continue
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		n--
	}
}

// A pid, and the port with it, is given to another program again and again:
// each request belongs to the program that served it.
func TestReusedPID(t *testing.T) {
	testutil.RequireRoot(t, "choose pids")
	root := containerRoot(t)
	dir, server := t.TempDir(), filepath.Join(root, "server")
	var out lockedBuffer
	address := freeAddress(t)
	r := start(t, agent.Options{Trace: true, JSON: true, Stdout: &out})
	var pid, asked int
	want := map[string]int{}
	const n = 5
	for round := range 6 {
		name := fmt.Sprintf("reused%c", 'a'+round%3)
		program := named(t, dir, server, name)
		var cmd *exec.Cmd
		if pid == 0 {
			cmd = exec.Command(program, address)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pid = cmd.Process.Pid
		} else {
			cmd = startAs(t, pid, program, address)
		}
		awaitServer(t, address, n)
		asked += n
		awaitLines(t, &out, fmt.Sprintf(`"pid":%d,"tid"`, pid), asked) // each is named while its process lives
		end(cmd)
		want[name] += n
	}
	r.stop()
	got := map[string]int{}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range tracedLines(t, out.String()) {
		if l.PID == pid {
			got[l.Service]++
		}
	}
	for name, n := range want {
		if got[name+"-"+port] != n {
			t.Errorf("%s: %d requests, want %d; all: %v", name, got[name+"-"+port], n, got)
		}
	}
}

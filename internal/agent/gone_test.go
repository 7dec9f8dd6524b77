// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"probe/internal/agent"
	"probe/internal/testutil"
)

// forkingServer has a process of its own for each connection, as inetd has, and
// forkingClient for each request. They end at once, and are waited for.
const (
	forkingServer = `
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    c = listener.accept()[0]
    if not os.fork():
        c.recv(4096)
        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        os._exit(0)
    c.close()
    os.wait()
`
	forkingClient = `
import os, socket, sys
for i in range(int(sys.argv[3])):
    if not os.fork():
        c = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        c.sendall(b"GET " + sys.argv[2].encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        while c.recv(4096):
            pass
        os._exit(0)
    if os.wait()[1]:
        sys.exit(1)
`
)

func startForkingServer(t *testing.T, in *testutil.Group) (port string) {
	t.Helper()
	server := exec.Command("/usr/bin/python3", "-c", forkingServer)
	out, err := server.StdoutPipe()
	must(t, err)
	must(t, in.Start(server))
	t.Cleanup(func() {
		server.Process.Kill()
		server.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("the server has no port")
	}
	return lines.Text()
}

// Processes that are gone before the agent comes to read have the names of their
// units, at both ends; the agent stands still until they are. Those of a group that
// is gone, too, have the name of their command.
func TestGoneProcesses(t *testing.T) {
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	const n = 100
	groups := testutil.Groups(t)
	t.Setenv("HOST_SYS", groups.SysRoot)
	name := func(what string) string { return fmt.Sprintf("probe-test-%d-%s", os.Getpid(), what) }
	unit, client, brief := groups.Make(name("served")+".service"), groups.Make(name("asks")+".service"), groups.Make(name("brief")+".service")
	port, target := startForkingServer(t, unit), "/gone/"+strconv.Itoa(os.Getpid())

	ready := filepath.Join(t.TempDir(), "ready")
	var out, log lockedBuffer
	a := startAgent(t, agentSettings{Role: "both", Trace: true, ReadyFile: ready, ShutdownTimeout: agent.DefaultShutdownTimeout}, &out, &log)
	ended := make(chan error, 1)
	go func() { ended <- a.Wait() }()
	defer a.Process.Kill()
	awaitFile(t, ready, ended)
	must(t, a.Process.Signal(syscall.SIGSTOP))
	for _, in := range []*testutil.Group{client, brief} {
		asks := exec.Command("/usr/bin/python3", "-c", forkingClient, port, target, strconv.Itoa(n))
		must(t, in.Start(asks))
		must(t, asks.Wait())
	}
	brief.Remove()
	must(t, a.Process.Signal(syscall.SIGCONT))
	awaitLines(t, &out, target, 4*n)
	must(t, a.Process.Signal(syscall.SIGTERM))
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("agent does not end")
	}

	got := map[string]int{}
	for line := range strings.Lines(out.String()) {
		var l struct{ Role, Service, Target string }
		must(t, json.Unmarshal([]byte(line), &l))
		if l.Target == target {
			got[l.Role+" "+l.Service]++
		}
	}
	for who, want := range map[string]int{"server " + name("served"): 2 * n, "client " + name("asks"): n, "client python3": n} {
		if got[who] != want {
			t.Errorf("%s: %d requests, want %d", who, got[who], want)
		}
	}
	if t.Failed() {
		t.Logf("got %v\n%s", got, log.String())
	}
}

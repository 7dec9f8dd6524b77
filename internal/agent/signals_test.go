// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"probe/internal/agent"
	"probe/internal/testutil"
)

// SIGHUP: what can change does, what cannot is named, and no request is lost on
// the way from one receiver to the other.
func TestReload(t *testing.T) {
	const n = 300
	c, first, second := startChild(t), newSink(t), newSink(t)
	o := agent.Options{Statsd: first.target(), PIDs: []uint32{c.pid}, Interval: agent.MinInterval}
	next := make(chan agent.Reloaded, 1)
	o.Reload = func() (agent.Reloaded, error) {
		select {
		case r := <-next:
			return r, nil
		default:
			return agent.Reloaded{}, errors.New("unknown key \"intervall\"")
		}
	}
	r := start(t, o)
	c.request(n)

	hangUp(t)
	if text := fmt.Sprint(r.logged("settings not reloaded; the old ones stay")); !strings.Contains(text, "intervall") {
		t.Errorf("log: %s", text)
	}
	c.request(n)

	changed := r.opt
	changed.Statsd, changed.Role, changed.Routes = second.target(), "both", []string{"/items/*"}
	next <- agent.Reloaded{Options: changed, Changed: []string{"role", "route", "statsd"}}
	hangUp(t)
	if got := fmt.Sprint(r.logged("these settings need a restart; their old values stay")["settings"]); got != "[role]" {
		t.Errorf("fixed settings %s, want role", got)
	}
	if got := fmt.Sprint(r.logged("settings reloaded")["changed"]); got != "[route statsd]" {
		t.Errorf("changed settings %s, want route and statsd", got)
	}
	c.request(n) // in the interval in which the settings changed
	time.Sleep(3 * agent.MinInterval)
	c.request(n)
	r.stop()
	late := second.await(requests+" route:/items/*", n)
	if late < n || late != second.sum(requests) {
		t.Errorf("%d requests under the new route of %d at the new receiver, want at least the last %d", late, second.sum(requests), n)
	}
	early := first.sum(requests)
	if early < 2*n || early+late != 4*n {
		t.Errorf("%d requests at the first receiver and %d at the second, want %d, of which %d at the first", early, late, 4*n, 2*n)
	}
	if got := first.sum("probe.http.client.requests") + second.sum("probe.http.client.requests"); got != 0 {
		t.Errorf("%d requests of clients, want none: the role cannot change", got)
	}
}

func hangUp(t *testing.T) {
	t.Helper()
	if err := unix.Kill(os.Getpid(), unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

func TestSignalShowsState(t *testing.T) {
	c, s := startChild(t), newSink(t)
	r := start(t, agent.Options{Statsd: s.target(), PIDs: []uint32{c.pid}, Interval: agent.MinInterval})
	c.request(7)
	s.await(requests, 7)
	if err := unix.Kill(os.Getpid(), unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	text, _ := r.logged("state")["state"].(string)
	var d agent.Description
	if err := json.Unmarshal([]byte(text), &d); err != nil || d.Summary.Finished != 7 || !d.Answers {
		t.Errorf("%v: state %q", err, text)
	}
	r.stop()
}

// The service manager hears when the agent is ready, lives, reloads and stops.
func TestNotifiesServiceManager(t *testing.T) {
	address := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"}
	manager, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	t.Setenv("NOTIFY_SOCKET", address.Name)
	t.Setenv("WATCHDOG_USEC", "3000000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	expect := func(want string) {
		t.Helper()
		packet := make([]byte, 4096)
		if err := manager.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := manager.Read(packet)
			if err != nil {
				t.Fatalf("no %s: %v", want, err)
			}
			got := string(packet[:n])
			if strings.HasPrefix(got, want) {
				return
			}
			if got != "WATCHDOG=1" {
				t.Fatalf("service manager was told %q, want %s", got, want)
			}
		}
	}
	c := startChild(t)
	same := make(chan agent.Options, 1)
	r := start(t, agent.Options{
		PIDs:   []uint32{c.pid},
		Reload: func() (agent.Reloaded, error) { return agent.Reloaded{Options: <-same}, nil },
	})
	same <- r.opt
	expect("READY=1\nSTATUS=attached")
	expect("WATCHDOG=1")
	hangUp(t)
	expect("RELOADING=1\nMONOTONIC_USEC=")
	expect("READY=1")
	r.stop()
	expect("STOPPING=1")
}

// A reader of stdout that does not read must not keep the agent from ending.
func TestShutdownTimeout(t *testing.T) {
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	c := startChild(t)
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var stderr lockedBuffer
	settings := agentSettings{
		PIDs: []uint32{c.pid}, Trace: true, ShutdownTimeout: 300 * time.Millisecond, ReadyFile: filepath.Join(t.TempDir(), "ready"),
	}
	cmd := startAgent(t, settings, out, &stderr)
	out.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	awaitFile(t, settings.ReadyFile, ended)
	c.request(1000) // far more than a pipe holds
	time.Sleep(200 * time.Millisecond)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr.String(), "300ms still busy with trace output") {
			t.Errorf("%v, %q, want exit code 1 and what it was busy with", err, stderr.String())
		}
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		<-ended
		t.Fatal("agent does not end")
	}
}

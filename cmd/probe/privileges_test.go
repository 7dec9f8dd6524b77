// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"probe/internal/testutil"
)

// grantedByUnit are the capabilities that the service file gives the agent,
// short: "bpf". The Kubernetes variants give the same ones (deploy/validate).
func grantedByUnit(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/systemd/probe.service")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`(?m)^AmbientCapabilities=(.*)$`).FindStringSubmatch(string(text))
	if match == nil {
		t.Fatal("no AmbientCapabilities in the service file")
	}
	var caps []string
	for _, name := range strings.Fields(match[1]) {
		caps = append(caps, strings.ToLower(strings.TrimPrefix(name, "CAP_")))
	}
	return caps
}

// buildStatic builds the program as it is shipped, where any user may run it.
func buildStatic(t *testing.T) string {
	t.Helper()
	testutil.RequireBPF(t, "5.11", "task storage")
	testutil.RequireRoot(t, "become another user")
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "probe")
	build := exec.Command("go", "build", "-trimpath", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// asNobody runs a program as a user without privileges who has caps alone,
// without the way back to others.
func asNobody(caps []string, program string, args ...string) *exec.Cmd {
	set := "-all"
	for _, c := range caps {
		set += ",+" + c
	}
	user := strconv.Itoa(nobody)
	return exec.Command("setpriv", append([]string{"--reuid", user, "--regid", user, "--clear-groups", "--no-new-privs",
		"--inh-caps", set, "--ambient-caps", set, "--bounding-set", set, program}, args...)...)
}

// Root of a user namespace is told that it is not the host's.
func TestUserNamespace(t *testing.T) {
	cmd := exec.Command(buildStatic(t), "trace", "--duration", "1ms")
	zero := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: zero}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Skip("no user namespaces here: ", err)
	}
	if cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(string(out), "root in a user namespace") {
		t.Errorf("%v: %s", err, out)
	}
}

// The least-privilege variant: nobody, with the capabilities of the service
// file alone, counts every request, before and after it has dropped some.
func TestLeastPrivilege(t *testing.T) {
	const n = 50
	program := buildStatic(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }))
	defer server.Close()
	scratch, err := os.MkdirTemp("", "probe")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(scratch)
	if err := os.Chown(scratch, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	ready := filepath.Join(scratch, "ready")
	cmd := asNobody(grantedByUnit(t), program, "run", "--detail", "full", "--pid", strconv.Itoa(os.Getpid()),
		"--interval", "100ms", "--statsd", "stdout:", "--ready-file", ready)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	awaitFile(t, ready, &log)
	checkThreads(t, cmd.Process.Pid)
	for range n {
		response, err := http.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		time.Sleep(20 * time.Millisecond) // over several intervals and sweeps
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("probe run: %v\n%s", err, log.String())
	}
	if got := requestsIn(t, out.String()); got != n {
		t.Errorf("%d requests in the lines, want %d\n%s", got, n, log.String())
	}
	if !strings.Contains(log.String(), "left=CAP_DAC_READ_SEARCH,CAP_SYS_PTRACE\n") {
		t.Errorf("the log does not say what is left:\n%s", log.String())
	}
	if name := filepath.Base(os.Args[0]); !strings.Contains(out.String(), strings.ReplaceAll(name, ".", "_")) {
		t.Errorf("root's process is not named %s in\n%.500s", name, out.String())
	}
}

// The ready file may be in a directory of another user, which root can write only
// with a privilege that it gives up otherwise.
func TestReadyFileOfAnotherUser(t *testing.T) {
	program := buildStatic(t)
	dir := t.TempDir()
	if err := errors.Join(os.Chown(dir, nobody, nobody), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	ready := filepath.Join(dir, "ready")
	cmd := exec.Command(program, "trace", "--pid", strconv.Itoa(os.Getpid()), "--ready-file", ready)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	awaitFile(t, ready, &log)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("probe trace: %v\n%s", err, log.String())
	}
	if _, err := os.Stat(ready); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the ready file at the end: %v, want it gone", err)
	}
	if !strings.Contains(log.String(), "left=CAP_DAC_OVERRIDE,") {
		t.Errorf("the log does not say what is left:\n%s", log.String())
	}
}

func awaitFile(t *testing.T, path string, log *bytes.Buffer) {
	t.Helper()
	for range 1000 {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("not ready:\n%s", log)
}

// checkThreads: every thread has what is needed later, and no way to more.
func checkThreads(t *testing.T, pid int) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) < 2 {
		t.Fatalf("threads %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		for _, want := range []string{"CapEff:\t0000000000080004", "CapPrm:\t0000000000080004", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1"} {
			if !strings.Contains(string(text), want+"\n") {
				t.Errorf("%s: no %q", file, want)
			}
		}
	}
}

func requestsIn(t *testing.T, lines string) int {
	t.Helper()
	sum := 0
	for _, match := range regexp.MustCompile(`(?m)\.http\.server\..*\.requests:(\d+)\|c$`).FindAllStringSubmatch(lines, -1) {
		n, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// The doctor finds which capability is missing, and what that means.
func TestDoctorCapabilities(t *testing.T) {
	program := buildStatic(t)
	all := grantedByUnit(t)
	without := func(name string) []string {
		var rest []string
		for _, c := range all {
			if c != name {
				rest = append(rest, c)
			}
		}
		return rest
	}
	tests := []struct {
		name string
		caps []string
		want map[string]string // check → status
		exit []int
	}{
		{"all of the unit", all, map[string]string{"load": "fine", "capability.bpf": "fine", "capability.sys_ptrace": "fine"}, []int{0, 1}},
		{"no bpf", without("bpf"), map[string]string{"load": "broken", "capability.bpf": "broken", "capability.perfmon": "fine"}, []int{2}},
		{"no perfmon", without("perfmon"), map[string]string{"load": "broken", "capability.perfmon": "broken"}, []int{2}},
		{"no sys_ptrace", without("sys_ptrace"), map[string]string{"load": "fine", "capability.sys_ptrace": "degraded", "names": "degraded"}, []int{1}},
		{"no dac_read_search", without("dac_read_search"), map[string]string{"load": "fine", "capability.dac_read_search": "degraded"}, []int{1}},
		{"sys_admin alone", []string{"sys_admin"}, map[string]string{"load": "fine", "capability.bpf": "fine", "capability.sys_ptrace": "degraded"}, []int{1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := asNobody(tt.caps, program, "doctor", "--json")
			out, err := cmd.Output()
			code := 0
			if exit, failed := errors.AsType[*exec.ExitError](err); failed {
				code = exit.ExitCode()
			} else if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(fmt.Sprint(tt.exit), strconv.Itoa(code)) {
				t.Errorf("exit code %d, want one of %v", code, tt.exit)
			}
			var report struct {
				Checks []struct{ Name, Status, Remedy string }
			}
			if err := json.Unmarshal(out, &report); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			for _, c := range report.Checks {
				if want, asked := tt.want[c.Name]; asked && c.Status != want {
					t.Errorf("%s: %+v, want %s", c.Name, c, want)
				}
				if c.Status != "fine" && c.Remedy == "" {
					t.Errorf("%+v: no remedy", c)
				}
			}
			if len(report.Checks) < 30 {
				t.Errorf("only %d checks", len(report.Checks))
			}
		})
	}
}

// In a user namespace root's capabilities look complete and are not: the doctor
// says so.
func TestDoctorInUserNamespace(t *testing.T) {
	out, err := exec.Command("unshare", "--user", "--map-root-user", buildStatic(t), "doctor").Output()
	if exit, failed := errors.AsType[*exec.ExitError](err); !failed || exit.ExitCode() != 2 {
		t.Errorf("%v, want exit code 2", err)
	}
	want := regexp.MustCompile(`(?m)^broken +user_namespace +a private one: in a user namespace: .*\n +fix: run in the host's`)
	if !want.Match(out) {
		t.Errorf("no word of the user namespace:\n%s", out)
	}
}

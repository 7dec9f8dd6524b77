// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"probe/internal/agent"
)

// traced is what a container test compares of a line of the trace.
type traced struct {
	Service     string `json:"service"`
	Container   string `json:"container"`
	ContainerID string `json:"container_id"`
	Pod         string `json:"pod"`
	Namespace   string `json:"namespace"`
	Workload    string `json:"workload"`
	PID         int    `json:"pid"`
}

func tracedLines(t *testing.T, text string) (lines []traced) {
	t.Helper()
	for line := range strings.Lines(text) {
		var l traced
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		lines = append(lines, l)
	}
	return lines
}

// containerRoot is a root file system that holds nothing but the static server.
func containerRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	build := exec.Command("go", "build", "-o", filepath.Join(root, "server"), "./testdata/container")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the container's program: %v\n%s", err, out)
	}
	return root
}

// engine is the path of a program of scripts/install-test-deps.sh.
func engine(t *testing.T, name string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("containers are started by root")
	}
	for _, dir := range []string{"/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return filepath.Join(dir, name)
		}
	}
	t.Fatalf("%s is needed: scripts/install-test-deps.sh installs it", name)
	return ""
}

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// command runs an engine. Its output goes to a file: what it starts inherits it.
func command(t *testing.T, path string, args ...string) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		t.Fatalf("%s %v: %v\n%s", filepath.Base(path), args, err, text)
	}
}

// requestFrom asks a server n times on one connection, as soon as it listens.
func requestFrom(t *testing.T, address string, n int) {
	t.Helper()
	for i, tries := 0, 0; i < n; tries++ {
		response, err := http.Get("http://" + address + "/from/container")
		if err != nil {
			if tries > 500 {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
			continue
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		i++
	}
	http.DefaultClient.CloseIdleConnections()
}

// awaitLines waits until the agent has printed n lines.
func awaitLines(t *testing.T, out *lockedBuffer, n int) {
	t.Helper()
	for range 500 {
		if strings.Count(out.String(), "\n") >= n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d lines, want %d", strings.Count(out.String(), "\n"), n)
}

const ociConfig = `{"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0},"args":["/server",%q],"cwd":"/"},
"root":{"path":%q},"mounts":[{"destination":"/proc","type":"proc","source":"proc"}],
"linux":{"cgroupsPath":%q,"namespaces":[{"type":"pid"},{"type":"mount"}]},
"annotations":{"io.kubernetes.cri.container-type":"container","io.kubernetes.cri.container-name":"api",
"io.kubernetes.cri.sandbox-name":"shop-6d4cf56db6-x2l8q","io.kubernetes.cri.sandbox-namespace":%q}}`

// Two real containers of runc, in bundles and cgroups laid out as containerd
// does, started after the agent: only that of the namespace is seen, under its
// names, from its first request on.
func TestRealPods(t *testing.T) {
	runc := engine(t, "runc")
	root, host, state := containerRoot(t), t.TempDir(), t.TempDir()
	t.Setenv("HOST_ROOT", host)
	start1 := func(namespace string, digit string) (id, address string) {
		id, address = strings.Repeat(digit, 64), freeAddress(t)
		bundle := filepath.Join(host, "run/containerd/io.containerd.runtime.v2.task/k8s.io", id)
		if err := os.MkdirAll(bundle, 0o755); err != nil {
			t.Fatal(err)
		}
		group := fmt.Sprintf("/kubepods/burstable/pod%s-0000-4000-8000-%012d/%s", strings.Repeat(digit, 8), os.Getpid(), id)
		config := fmt.Sprintf(ociConfig, address, root, group, namespace)
		if err := os.WriteFile(filepath.Join(bundle, "config.json"), []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { exec.Command(runc, "--root", state, "delete", "--force", id).Run() })
		command(t, runc, "--root", state, "run", "--detach", "--bundle", bundle, id)
		return id, address
	}
	var out lockedBuffer
	r := start(t, agent.Options{Trace: true, JSON: true, Stdout: &out, Names: agent.NameOptions{Namespaces: []string{"prod"}}})
	id, wanted := start1("prod", "a")
	_, other := start1("test", "b")
	const n = 20
	requestFrom(t, other, n)
	requestFrom(t, wanted, n)
	awaitLines(t, &out, n)
	r.stop()
	lines := tracedLines(t, out.String())
	want := traced{Service: "shop/api", Container: "api", ContainerID: id, Pod: "shop-6d4cf56db6-x2l8q", Namespace: "prod", Workload: "shop"}
	for _, l := range lines {
		l.PID = 0
		if l != want {
			t.Errorf("line %+v, want %+v", l, want)
		}
	}
	if len(lines) != n || r.ended() != n {
		t.Errorf("%d lines, %d requests in the totals, want %d", len(lines), r.ended(), n)
	}
}

// A real container of Podman, filtered by its name.
func TestRealPodman(t *testing.T) {
	podman, runc := engine(t, "podman"), engine(t, "runc")
	root := containerRoot(t)
	host, err := os.MkdirTemp("", "pt") // the path may have 50 characters
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(host) })
	t.Setenv("HOST_ROOT", host)
	storage := []string{"--runtime", runc, "--cgroup-manager", "cgroupfs", "--storage-driver", "vfs",
		"--root", filepath.Join(host, "var/lib/containers/storage"), "--runroot", filepath.Join(host, "run")}
	run := func(name string) string {
		address := freeAddress(t)
		t.Cleanup(func() { exec.Command(podman, append(storage, "rm", "--force", "--time", "0", name)...).Run() })
		command(t, podman, append(storage, "run", "--detach", "--name", name, "--network", "host", "--ulimit", "nofile=512:512",
			"--ulimit", "nproc=512:512", "--rootfs", root, "/server", address)...)
		return address
	}
	var out lockedBuffer
	r := start(t, agent.Options{Trace: true, JSON: true, Stdout: &out, Names: agent.NameOptions{Containers: []string{"cache"}}})
	other, wanted := run("other"), run("cache")
	const n = 20
	requestFrom(t, other, n)
	requestFrom(t, wanted, n)
	awaitLines(t, &out, n)
	r.stop()
	lines := tracedLines(t, out.String())
	for _, l := range lines {
		if l.Service != "cache" || l.Container != "cache" || len(l.ContainerID) != 64 {
			t.Errorf("line %+v", l)
		}
	}
	if len(lines) != n {
		t.Errorf("%d lines, want %d", len(lines), n)
	}
}

// The filter by executable, and a user's rule; the agent was there first.
func TestFilterByExecutable(t *testing.T) {
	var out lockedBuffer
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, agent.Options{Trace: true, JSON: true, Stdout: &out,
		Names: agent.NameOptions{Exes: []string{self}, Services: []string{"exe:agent.test=ours", "comm:*=others"}}})
	c := startChild(t)
	const n = 30
	c.request(n)
	awaitLines(t, &out, n)
	r.stop()
	lines := tracedLines(t, out.String())
	for _, l := range lines {
		if l.PID != int(c.pid) || l.Service != "ours" {
			t.Errorf("line %+v, want those of process %d", l, c.pid)
		}
	}
	if len(lines) != n {
		t.Errorf("%d lines, want %d", len(lines), n)
	}
}

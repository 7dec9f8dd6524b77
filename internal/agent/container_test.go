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
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"probe/internal/agent"
	"probe/internal/testutil"
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
	testutil.RequireRoot(t, "start a container")
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
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(testutil.FreePort(t))))
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

// judged is how long after its start a container is given to be judged; a
// second is promised.
const judged = 500 * time.Millisecond

// requestFrom asks a server n times on one connection, soon after it listens.
func requestFrom(t *testing.T, address string, n int) {
	t.Helper()
	for tries := 0; ; tries++ {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			break
		}
		if tries > 500 {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(judged)
	for range n {
		response, err := http.Get("http://" + address + "/from/container")
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}

// awaitLines waits until the agent has printed n lines with a text in them.
func awaitLines(t *testing.T, out *lockedBuffer, with string, n int) {
	t.Helper()
	for range 1000 {
		if strings.Count(out.String(), with) >= n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d lines with %q, want %d", strings.Count(out.String(), with), with, n)
}

const ociConfig = `{"ociVersion":"1.0.2","process":{"user":{"uid":0,"gid":0},"args":["/server",%q],"cwd":"/"},
"root":{"path":%q},"mounts":[{"destination":"/proc","type":"proc","source":"proc"}],
"linux":{"cgroupsPath":%q,"namespaces":[{"type":"pid"},{"type":"mount"}]},
"annotations":{"io.kubernetes.cri.container-type":"container","io.kubernetes.cri.container-name":"api",
"io.kubernetes.cri.sandbox-name":"shop-6d4cf56db6-x2l8q","io.kubernetes.cri.sandbox-namespace":%q}}`

// pod is a container as containerd would make it.
type pod struct{ host, state, root, id, address, namespace string }

func runPod(t *testing.T, runc string, p pod) {
	t.Helper()
	bundle := filepath.Join(p.host, "run/containerd/io.containerd.runtime.v2.task/k8s.io", p.id)
	if err := os.MkdirAll(bundle, 0o755); err != nil {
		t.Fatal(err)
	}
	group := fmt.Sprintf("/kubepods/burstable/pod%s-0000-4000-8000-%012d/%s", p.id[:8], os.Getpid(), p.id)
	config := fmt.Sprintf(ociConfig, p.address, p.root, group, p.namespace)
	if err := os.WriteFile(filepath.Join(bundle, "config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	tidyGroups(t, group)
	t.Cleanup(func() { exec.Command(runc, "--root", p.state, "delete", "--force", p.id).Run() })
	command(t, runc, "--root", p.state, "run", "--detach", "--bundle", bundle, p.id)
}

// tidyGroups removes the control groups that a runtime leaves behind above one
// of a container, in every hierarchy, when the test is over: those that were not
// there before.
func tidyGroups(t *testing.T, group string) {
	t.Helper()
	above := func() (dirs []string) { // the deepest first
		for parent := filepath.Dir(group); parent != "/"; parent = filepath.Dir(parent) {
			for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
				found, err := filepath.Glob(root + parent)
				if err != nil {
					t.Fatal(err)
				}
				dirs = append(dirs, found...)
			}
		}
		return dirs
	}
	before := above()
	t.Cleanup(func() {
		for _, dir := range above() {
			if !slices.Contains(before, dir) {
				os.Remove(dir) // it stays if it is in use
			}
		}
	})
}

// Two real containers of runc, in bundles and cgroups laid out as containerd
// does, started after the agent: only that of the namespace is seen, under its
// names, and each of its requests.
func TestRealPods(t *testing.T) {
	runc := engine(t, "runc")
	root, host, state := containerRoot(t), t.TempDir(), t.TempDir()
	t.Setenv("HOST_ROOT", host)
	var out lockedBuffer
	r := start(t, agent.Options{Trace: true, JSON: true, Stdout: &out, Names: agent.NameOptions{Namespaces: []string{"prod"}}})
	id, wanted, other := strings.Repeat("a", 64), freeAddress(t), freeAddress(t)
	runPod(t, runc, pod{host: host, state: state, root: root, id: id, address: wanted, namespace: "prod"})
	runPod(t, runc, pod{host: host, state: state, root: root, id: strings.Repeat("b", 64), address: other, namespace: "test"})
	const n = 20
	requestFrom(t, other, n)
	requestFrom(t, wanted, n)
	awaitLines(t, &out, "\n", n)
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
	tidyGroups(t, "/libpod_parent/conmon/process")
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
	awaitLines(t, &out, "\n", n)
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
	time.Sleep(judged)
	const n = 30
	c.request(n)
	awaitLines(t, &out, "\n", n)
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

// The chosen names are tags of a real container's lines; replicas of a workload
// are told apart only where a chosen tag does so.
func TestContainerTags(t *testing.T) {
	runc := engine(t, "runc")
	root, host, state := containerRoot(t), t.TempDir(), t.TempDir()
	t.Setenv("HOST_ROOT", host)
	s := newSink(t)
	const n = 10
	r := start(t, agent.Options{Statsd: s.target(), Export: agent.ExportOptions{Fields: "service,namespace,workload,container"},
		Names: agent.NameOptions{Namespaces: []string{"tagged"}}})
	for _, digit := range []string{"c", "d"} {
		id, address := strings.Repeat(digit, 64), freeAddress(t)
		runPod(t, runc, pod{host: host, state: state, root: root, id: id, address: address, namespace: "tagged"})
		requestFrom(t, address, n)
	}
	r.stop()
	for name, want := range map[string]int{requests: 2 * n, requests + " namespace:tagged": 2 * n, requests + " workload:shop": 2 * n,
		requests + " container:api": 2 * n, requests + " service:shop/api": 2 * n, self + "kernel.requests_seen": 2 * n} {
		if got := s.await(name, want); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

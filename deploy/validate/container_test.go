// SPDX-License-Identifier: Apache-2.0

package validate

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

	corev1 "k8s.io/api/core/v1"
)

// seccompProfile is the part of Docker's format that the kubelet reads; a
// runtime takes the same object.
func seccompProfile(t *testing.T) map[string]any {
	t.Helper()
	text, err := os.ReadFile("../kubernetes/seccomp.json")
	if err != nil {
		t.Fatal(err)
	}
	var strict struct {
		DefaultAction   string   `json:"defaultAction"`
		DefaultErrnoRet int      `json:"defaultErrnoRet"`
		Architectures   []string `json:"architectures"`
		Syscalls        []struct {
			Action string   `json:"action"`
			Names  []string `json:"names"`
		} `json:"syscalls"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&strict); err != nil {
		t.Fatal(err)
	}
	if strict.DefaultAction != "SCMP_ACT_ERRNO" {
		t.Errorf("default action %q, want a refusal", strict.DefaultAction)
	}
	for _, rule := range strict.Syscalls {
		for _, name := range rule.Names {
			if strings.Contains(" mount umount2 ptrace init_module finit_module kexec_load reboot unshare setns pivot_root perf_event_open ", " "+name+" ") {
				t.Errorf("%s is allowed", name)
			}
		}
	}
	var profile map[string]any
	if err := json.Unmarshal(text, &profile); err != nil {
		t.Fatal(err)
	}
	return profile
}

// ociConfig is what a runtime makes of the least-privilege pod: the host's pids
// and network, the image's one file, the pod's capabilities and this profile.
func ociConfig(t *testing.T, c corev1.Container, args []string) []byte {
	t.Helper()
	var caps []string
	for _, one := range c.SecurityContext.Capabilities.Add {
		caps = append(caps, "CAP_"+string(one))
	}
	config := map[string]any{
		"ociVersion": "1.0.2",
		"process": map[string]any{
			"user": map[string]any{"uid": 0, "gid": 0}, "cwd": "/", "args": args, "noNewPrivileges": true,
			"env":          []string{"HOST_ROOT=/host", "HOST_SYS=/host/sys"},
			"capabilities": map[string]any{"bounding": caps, "effective": caps, "permitted": caps},
		},
		"root": map[string]any{"path": "rootfs", "readonly": true},
		"mounts": []map[string]any{
			{"destination": "/proc", "type": "none", "source": "/proc", "options": []string{"rbind"}},
			{"destination": "/sys", "type": "none", "source": "/sys", "options": []string{"rbind", "ro"}},
			{"destination": "/host/sys", "type": "none", "source": "/sys", "options": []string{"rbind", "ro"}},
			{"destination": "/host/run", "type": "none", "source": "/run", "options": []string{"rbind", "ro"}},
		},
		"linux": map[string]any{
			"namespaces": []map[string]any{{"type": "mount"}, {"type": "ipc"}, {"type": "uts"}},
			"seccomp":    seccompProfile(t),
		},
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// inContainer prepares a container of nothing but the program.
func inContainer(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	requireRoot(t, "start a container")
	if _, err := exec.LookPath("crun"); err != nil {
		t.Fatal("crun is missing: run scripts/install-test-deps.sh")
	}
	pod := daemonSet(t, kustomized(t, "../kustomize/least-privilege")).Spec.Template.Spec
	bundle := t.TempDir()
	for _, dir := range []string{"dev", "proc", "sys", "host/sys", "host/run"} {
		if err := os.MkdirAll(filepath.Join(bundle, "rootfs", dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	binary, err := os.ReadFile(program(t))
	if err == nil {
		err = os.WriteFile(filepath.Join(bundle, "rootfs", "probe"), binary, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(bundle, "config.json"), ociConfig(t, pod.Containers[0], append([]string{"/probe"}, args...)), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("probe-validate-%d-%d", os.Getpid(), len(args))
	// crun refuses hosts with both versions of control groups; it needs neither.
	const enter = `mount -t cgroup2 none /sys/fs/cgroup && exec crun --root "$1/state" --cgroup-manager disabled run --bundle "$1" "$2"`
	return exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", enter, "sh", bundle, id)
}

// startInContainer starts the program there and waits until it is attached.
func startInContainer(t *testing.T, args ...string) (out, log *lockedBuffer, stop func()) {
	t.Helper()
	cmd := inContainer(t, args...)
	out, log = &lockedBuffer{}, &lockedBuffer{}
	cmd.Stdout, cmd.Stderr = out, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for range 1000 {
		if strings.Contains(log.String(), "msg=attached") {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("ended: %v\n%s", err, log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return out, log, func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil { // crun passes it on
			t.Fatal(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("probe: %v\n%s", err, log.String())
		}
	}
}

// The least-privilege pod in a real container: it counts every request of a
// process of the host.
func TestLeastPrivilegeContainer(t *testing.T) {
	const n = 30
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }))
	defer server.Close()
	out, log, stop := startInContainer(t, "run", "--detail", "full", "--interval", "100ms", "--pid", strconv.Itoa(os.Getpid()), "--statsd", "stdout:")
	for range n {
		response, err := http.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		time.Sleep(20 * time.Millisecond)
	}
	stop()
	sum := 0
	for _, match := range regexp.MustCompile(`(?m)\.http\.server\..*\.requests:(\d+)\|c`).FindAllStringSubmatch(out.String(), -1) {
		k, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		sum += k
	}
	if sum != n || !strings.Contains(log.String(), "privileges dropped") {
		t.Errorf("%d requests, want %d\n%s", sum, n, log.String())
	}
}

// The doctor agrees that nothing is broken there.
func TestDoctorInContainer(t *testing.T) {
	out, err := inContainer(t, "doctor", "--json").Output()
	if exit, failed := errors.AsType[*exec.ExitError](err); failed && exit.ExitCode() != 1 {
		t.Errorf("%v %s", err, exit.Stderr)
	}
	var report struct {
		Checks []struct{ Name, Status, Found, Remedy string }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	found := map[string]string{}
	for _, c := range report.Checks {
		found[c.Name] = c.Found
		if c.Status == "broken" {
			t.Errorf("%+v", c)
		}
	}
	if found["seccomp"] != "filter" || found["capability.sys_admin"] != "not even in the bounding set" || !strings.HasPrefix(found["load"], "source ") {
		t.Errorf("found %v: not the container it should be", found)
	}
}

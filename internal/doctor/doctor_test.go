// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"probe/internal/privilege"
	"probe/internal/single"
	"probe/internal/testutil"
	"probe/pkg/export"
	"probe/pkg/loader"
)

func TestMain(m *testing.M) { testutil.Main(m) }

// tree writes files, given as path and text, below a new directory. A text of
// "->x" makes a link to x; a path that ends in / a directory.
func tree(t *testing.T, files map[string]string) host {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		full := filepath.Join(root, path)
		dir := filepath.Dir(full)
		if strings.HasSuffix(path, "/") {
			dir = full
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch target, isLink := strings.CutPrefix(text, "->"); {
		case isLink:
			err = os.Symlink(target, full)
		case !strings.HasSuffix(path, "/"):
			err = os.WriteFile(full, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return host{Options{Proc: root + "/proc", Sys: root + "/sys", Root: root, LockDir: root + "/run/probe"}}
}

const release = "proc/sys/kernel/osrelease"

// Checks that read files: what they say of a host, and that a remedy stands
// exactly where something is wrong.
func TestFileChecks(t *testing.T) {
	root := process{effective: 1<<41 - 1, bounding: 1<<41 - 1, memlock: "8388608"}
	none := process{memlock: "65536"}
	old := map[string]string{release: "5.10.0-30-amd64\n"}
	tests := []struct {
		name   string
		files  map[string]string
		check  func(host) Check
		status Status
		says   string // in found, meaning or remedy
	}{
		{"kernel", map[string]string{release: "6.1.0-13-amd64\n"}, host.kernel, Fine, "6.1.0"},
		{"old kernel", map[string]string{release: "5.4.0\n"}, host.kernel, Broken, "5.9"},
		{"memlock not charged", map[string]string{release: "5.11.0\n"}, func(h host) Check { return h.memlock(none) }, Fine, "not charged"},
		{"memlock raised", old, func(h host) Check { return h.memlock(root) }, Fine, "raised"},
		{"memlock too low", old, func(h host) Check { return h.memlock(none) }, Broken, "ulimit -l unlimited"},
		{"memlock unlimited", old, func(h host) Check { return h.memlock(process{memlock: "unlimited"}) }, Fine, "enough"},
		{"lockdown none", map[string]string{"sys/kernel/security/lockdown": "[none] integrity confidentiality\n"}, host.lockdown, Fine, "none"},
		{"lockdown integrity", map[string]string{"sys/kernel/security/lockdown": "none [integrity] confidentiality\n"}, host.lockdown, Fine, "integrity"},
		{"lockdown confidentiality", map[string]string{"sys/kernel/security/lockdown": "none integrity [confidentiality]\n"}, host.lockdown, Broken, "lockdown=integrity"},
		{"lockdown unknown", nil, host.lockdown, Fine, "not known"},
		{"cgroup 2", map[string]string{"sys/fs/cgroup/cgroup.controllers": "cpu\n"}, host.cgroup, Fine, "version 2"},
		{"cgroup hybrid", map[string]string{"sys/fs/cgroup/unified/cgroup.controllers": "", "sys/fs/cgroup/cpu/": ""}, host.cgroup, Fine, "version 1"},
		{"cgroup 1", map[string]string{"sys/fs/cgroup/memory/": ""}, host.cgroup, Degraded, "systemd.unified_cgroup_hierarchy=1"},
		{"no cgroup", nil, host.cgroup, Degraded, "mount"},
		{"pressure", map[string]string{"proc/pressure/cpu": "some avg10=0.00\n"}, host.pressure, Fine, "on"},
		{"pressure off by default", map[string]string{release: "6.1.0\n", "boot/config-6.1.0": "CONFIG_PSI=y\nCONFIG_PSI_DEFAULT_DISABLED=y\n"}, host.pressure, Degraded, "psi=1"},
		{"pressure switched off", map[string]string{"proc/cmdline": "root=/dev/vda psi=0\n"}, host.pressure, Degraded, "remove psi=0"},
		{"no pressure", nil, host.pressure, Degraded, "CONFIG_PSI=y"},
		{"paranoid", map[string]string{"proc/sys/kernel/perf_event_paranoid": "4\n"}, host.perfEventParanoid, Fine, "4"},
		{"unprivileged BPF", map[string]string{"proc/sys/kernel/unprivileged_bpf_disabled": "0\n"}, host.unprivilegedBPF, Fine, "kernel.unprivileged_bpf_disabled=2"},
		{"tracefs", map[string]string{"sys/kernel/tracing/events": ""}, host.tracefs, Fine, "kernel/tracing"},
		{"no tracefs", map[string]string{"sys/kernel/tracing/": ""}, host.tracefs, Fine, "not mounted"},
		{"host's pid namespace", map[string]string{"proc/self/ns/pid": "->pid:[4026531836]"}, host.pidNamespace, Fine, "host"},
		{"private pid namespace", map[string]string{"proc/self/ns/pid": "->pid:[4026532500]"}, host.pidNamespace, Degraded, "hostPID: true"},
		{"host's user namespace", map[string]string{"proc/self/uid_map": "         0          0 4294967295\n"}, host.userNamespace, Fine, "host"},
		{"user namespace of a user", map[string]string{"proc/self/uid_map": "         0       1000          1\n"}, host.userNamespace, Broken, "in a user namespace: its capabilities do not count for BPF"},
		{"user namespace of a container", map[string]string{"proc/self/uid_map": "0 100000 65536\n"}, host.userNamespace, Broken, "run in the host's"},
		{"two ranges", map[string]string{"proc/self/uid_map": "0 1000 1\n1 100000 65536\n"}, host.userNamespace, Broken, "run in the host's"},
		{"no user namespaces", nil, host.userNamespace, Fine, "none"},
		{"readable", map[string]string{"proc/1/exe": "->/sbin/init", "proc/20/exe": "->/bin/x"}, func(h host) Check { return h.names(none) }, Fine, "2 of 2"},
		{"hidden", map[string]string{"proc/20/exe": "->/bin/x"}, func(h host) Check { return h.names(none) }, Degraded, "hidepid"},
		{"seccomp", nil, func(h host) Check { return h.seccomp(process{seccomp: "2"}) }, Fine, "filter"},
		{"containerd", map[string]string{"run/containerd/io.containerd.runtime.v2.task/k8s.io/x/config.json": "{}"}, host.containerFiles, Fine, "containerd"},
		{"no runtime", nil, host.containerFiles, Fine, "no container runtime"},
		{"no other agent", nil, host.otherAgents, Fine, "none"},
		{"lock directory that systemd made a link", map[string]string{"run/private/probe/": "", "run/probe": "->private/probe"}, host.otherAgents, Degraded, "RuntimeDirectoryPreserve=no"},
		{"lock directory that is a file", map[string]string{"run/probe": ""}, host.otherAgents, Degraded, "not a directory"},
	}
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.check(tree(t, tt.files))
			if c.Status != tt.status || !strings.Contains(c.Found+c.Meaning+c.Remedy, tt.says) {
				t.Errorf("%+v, want %s and %q", c, tt.status, tt.says)
			}
			if (c.Remedy == "") != (c.Status == Fine) || c.Found == "" || c.Meaning == "" || c.Name == "" {
				t.Errorf("%+v: incomplete, or a remedy for what is fine", c)
			}
		})
	}
}

func TestNoRuntimeFilesInAPod(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	if c := tree(t, nil).containerFiles(); c.Status != Degraded || !strings.Contains(c.Remedy, "/run/containerd") {
		t.Errorf("%+v, want degraded, with the mounts", c)
	}
}

func TestParseProcess(t *testing.T) {
	status := "Name:\tprobe\nUid:\t0\t65534\t0\t0\nCapEff:\t000000c000080004\nCapBnd:\t000001ffffffffff\nNoNewPrivs:\t1\nSeccomp:\t2\n"
	limits := "Limit                     Soft Limit           Hard Limit           Units\nMax locked memory         8388608              unlimited            bytes\n"
	want := process{
		effective: privilege.Of(privilege.BPF, privilege.Perfmon, privilege.SysPtrace, privilege.DACReadSearch),
		bounding:  1<<41 - 1, seccomp: "2", memlock: "8388608",
	}
	if got := parseProcess(status, limits); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := parseProcess("CapEff:\nUid\nCapBnd:\tzz\n", "Max locked memory"); got != (process{}) {
		t.Errorf("of nonsense: %+v", got)
	}
}

func TestCapabilities(t *testing.T) {
	both := privilege.Of(privilege.BPF, privilege.Perfmon)
	h := tree(t, map[string]string{release: "6.1.0\n"})
	tests := []struct {
		name string
		self process
		want map[string]Status
		says string
	}{
		{"all", process{effective: 1<<41 - 1, bounding: 1<<41 - 1}, map[string]Status{}, ""},
		{"admin alone", process{effective: privilege.Of(privilege.SysAdmin)},
			map[string]Status{"capability.sys_ptrace": Degraded, "capability.dac_read_search": Degraded}, "--cap-add SYS_PTRACE"},
		{"two", process{effective: both, bounding: both},
			map[string]Status{"capability.sys_ptrace": Degraded, "capability.dac_read_search": Degraded}, "capabilities.add: [SYS_PTRACE]"},
		{"a user", process{bounding: 1<<41 - 1},
			map[string]Status{"capability.bpf": Broken, "capability.perfmon": Broken, "capability.sys_ptrace": Degraded, "capability.dac_read_search": Degraded},
			"AmbientCapabilities=CAP_BPF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, remedies := map[string]Status{}, ""
			for _, c := range h.capabilities(tt.self) {
				if c.Status != Fine {
					got[c.Name] = c.Status
				}
				remedies += c.Remedy + "\n"
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("not fine (-want +got):\n%s", diff)
			}
			if !strings.Contains(remedies, tt.says) {
				t.Errorf("remedies %q, want %q", remedies, tt.says)
			}
		})
	}
}

func TestSources(t *testing.T) {
	feature := func(name string, need loader.Need, present bool) loader.Feature {
		return loader.Feature{Name: "hook." + name, Need: need, Present: present, Since: "9.9", Without: "lost"}
	}
	tests := []struct {
		name                      string
		send, recv, exit          bool
		wantSend, wantExit, wantO Status
	}{
		{"both", true, true, true, Fine, Fine, Degraded},
		{"socket only", true, true, false, Fine, Fine, Degraded},
		{"system calls only", false, false, true, Degraded, Fine, Degraded},
		{"half a source", false, true, false, Broken, Broken, Degraded},
		{"none", false, false, false, Broken, Broken, Degraded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checks := judgeFeatures([]loader.Feature{
				feature("sock_send_length", loader.ForSocketSource, tt.send), feature("sock_recv_length", loader.ForSocketSource, tt.recv),
				feature("sys_exit", loader.ForSyscallSource, tt.exit), feature("x", loader.Optional, false),
			})
			got := []Status{checks[0].Status, checks[2].Status, checks[3].Status}
			if diff := cmp.Diff([]Status{tt.wantSend, tt.wantExit, tt.wantO}, got); diff != "" {
				t.Errorf("send, exit, optional (-want +got):\n%s", diff)
			}
		})
	}
	if c := judgeFeatures([]loader.Feature{feature("y", loader.Required, false)})[0]; c.Status != Broken || !strings.Contains(c.Remedy, "9.9") {
		t.Errorf("a required one that is missing: %+v", c)
	}
}

func TestOtherAgents(t *testing.T) {
	h := tree(t, nil)
	target, err := export.ParseTarget("udp://127.0.0.1:8125")
	if err != nil {
		t.Fatal(err)
	}
	lock, _, err := single.Acquire(h.LockDir, single.Key(target.String(), "probe"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	for _, tt := range []struct {
		target export.Target
		prefix string
		want   Status
	}{{target, "probe", Degraded}, {target, "other", Fine}, {export.Target{}, "probe", Fine}} {
		h.Target, h.Prefix = tt.target, tt.prefix
		if c := h.otherAgents(); c.Status != tt.want || !strings.Contains(c.Found, "127.0.0.1:8125") {
			t.Errorf("%v %s: %+v, want %s", tt.target, tt.prefix, c, tt.want)
		}
	}
}

// Both forms of the report have every check; the text keeps each on its line.
func TestForms(t *testing.T) {
	r := Report{Version: "v1", Kernel: "6.1.0", Arch: "amd64"}
	r.add(fine("a", "here", "good"), degraded("bb", "two\nlines", "less", "do this"), broken("c", "gone", "bad", "do that"))
	var text, object bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	const want = `probe v1 on Linux 6.1.0, amd64

fine      a   here: good
degraded  bb  two lines: less
              fix: do this
broken    c   gone: bad
              fix: do that

broken: 1 fine, 1 degraded, 1 broken. probe does not work here as it is.
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	if err := r.WriteJSON(&object); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(object.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, back); diff != "" {
		t.Errorf("JSON (-want +got):\n%s", diff)
	}
}

// On a machine where BPF works, this one included, nothing that is required is
// missing, and what was loaded is gone afterwards.
func TestExamineHere(t *testing.T) {
	testutil.RequireBPF(t, "5.11", "task storage")
	testutil.CheckFDs(t)
	r := Examine(context.Background(), Options{LockDir: t.TempDir()})
	found := map[string]Check{}
	for _, c := range r.Checks {
		if _, twice := found[c.Name]; twice {
			t.Errorf("%s is there twice", c.Name)
		}
		found[c.Name] = c
		if c.Status == Broken {
			t.Errorf("%+v", c)
		}
	}
	if c := found["load"]; !strings.HasPrefix(c.Found, "source ") {
		t.Errorf("%+v: the programs were not loaded", c)
	}
}

// A refusal that names its remedy is not answered with another one.
func TestLoadFailed(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]string{
		loader.ErrPermission: "capabilities", loader.ErrNotSupported: "what the reason says", unix.EMFILE: "what the reason says",
		unix.EINVAL: "report",
	} {
		if c := loadFailed("load", fmt.Errorf("attach: %w", err)); c.Status != Broken || !strings.Contains(c.Remedy, want) {
			t.Errorf("%v: %+v, want %q", err, c, want)
		}
	}
}

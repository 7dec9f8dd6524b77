// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"probe/internal/privilege"
	"probe/pkg/loader"
)

func (h host) cgroup() Check {
	const name = "cgroup"
	base := h.sys("fs/cgroup")
	const remedy = "boot with systemd.unified_cgroup_hierarchy=1 on the kernel command line"
	switch {
	case exists(filepath.Join(base, "cgroup.controllers")):
		return fine(name, "version 2", "services, their CPU, memory and pressure are known")
	case exists(filepath.Join(base, "unified/cgroup.controllers")):
		return fine(name, "version 2 beside version 1", "services, their CPU, memory and pressure are known")
	case exists(filepath.Join(base, "cpu")) || exists(filepath.Join(base, "memory")) || exists(filepath.Join(base, "systemd")):
		return degraded(name, "version 1", "no pressure of services (host.service.psi)", remedy)
	}
	return degraded(name, "none", "no figures of services (host.service)",
		"mount -t cgroup2 none /sys/fs/cgroup; in a container, mount the host's /sys")
}

func (h host) pressure() Check {
	const name = "psi"
	_, err := read(h.proc("pressure/cpu"))
	const lost = "no pressure of host and services (host.psi, host.service.psi)"
	switch {
	case err == nil:
		return fine(name, "on", "pressure of the host is known")
	case errors.Is(err, unix.EOPNOTSUPP), h.builtWith("CONFIG_PSI_DEFAULT_DISABLED"):
		return degraded(name, "off by default", lost, "boot with psi=1 on the kernel command line")
	case strings.Contains(" "+h.commandLine()+" ", " psi=0 "):
		return degraded(name, "off by psi=0", lost, "remove psi=0 from the kernel command line")
	}
	return degraded(name, "none", lost, "boot with psi=1 on the kernel command line; the kernel needs CONFIG_PSI=y")
}

func (h host) commandLine() string {
	text, _ := read(h.proc("cmdline"))
	return text
}

// builtWith looks into the configuration that distributions leave in /boot.
func (h host) builtWith(option string) bool {
	text, err := os.ReadFile(filepath.Join(h.Root, "boot", "config-"+h.release()))
	return err == nil && strings.Contains("\n"+string(text), "\n"+option+"=y\n")
}

// initialPIDNamespace is the inode of the host's (linux/proc_ns.h).
const initialPIDNamespace = "pid:[4026531836]"

func (h host) pidNamespace() Check {
	const name = "pid_namespace"
	link, err := os.Readlink(h.proc("self/ns/pid"))
	switch {
	case err != nil:
		return degraded(name, "not known", "processes may have no names: "+err.Error(), "mount /proc")
	case link == initialPIDNamespace:
		return fine(name, "the host's", "every process of the host can be named")
	}
	return degraded(name, "a private one", "processes of the host have no names, and --pid means none of them",
		"Kubernetes: hostPID: true; docker: --pid=host")
}

// userNamespace: capabilities of another one than the host's look like those of
// root, and the kernel does not take them for BPF.
func (h host) userNamespace() Check {
	const name = "user_namespace"
	text, err := read(h.proc("self/uid_map"))
	switch {
	case err != nil: // a kernel without user namespaces
		return fine(name, "none", "capabilities are those of the host")
	case loader.HostUsers(text):
		return fine(name, "the host's", "capabilities are those of the host")
	}
	return broken(name, "a private one", "in a user namespace: its capabilities do not count for BPF",
		"run in the host's; Kubernetes: hostUsers: true; docker: --userns=host; podman: as root")
}

// names tries what the names of services are made from, on processes of others.
func (h host) names(self process) Check {
	const name = "names"
	const tried = 200 // processes; kernel threads have no executable
	entries, err := os.ReadDir(h.Proc)
	if err != nil {
		return degraded(name, "no "+h.Proc, "services have no names", "mount /proc")
	}
	seen, refused := 0, 0
	for _, entry := range entries {
		if seen == tried || strings.Trim(entry.Name(), "0123456789") != "" {
			continue
		}
		switch _, err := os.Readlink(h.proc(entry.Name(), "exe")); {
		case err == nil:
			seen++
		case errors.Is(err, fs.ErrPermission):
			seen++
			refused++
		}
	}
	found := fmt.Sprintf("%d of %d executables readable", seen-refused, seen)
	_, err = os.Lstat(h.proc("1"))
	switch {
	case errors.Is(err, fs.ErrNotExist): // every pid namespace has one
		return degraded(name, "processes of others are hidden (hidepid)", "services of others are named by their command name only", grant(privilege.SysPtrace, self))
	case refused == 0:
		return fine(name, found, "services are named by unit, executable and port")
	case self.effective.Has(privilege.SysPtrace):
		return fine(name, found, "the others are protected from everybody; they are named by their command name")
	}
	return degraded(name, found, "the others are named by their command name only", grant(privilege.SysPtrace, self))
}

// runtimeFiles tell the names of containers.
var runtimeFiles = []struct{ runtime, path string }{
	{"containerd", "run/containerd/io.containerd.runtime.v2.task"},
	{"k3s", "run/k3s/containerd/io.containerd.runtime.v2.task"},
	{"CRI-O, podman", "var/lib/containers/storage/overlay-containers"},
	{"CRI-O, podman", "run/containers/storage/overlay-containers"},
	{"docker", "var/lib/docker/containers"},
	{"kubelet", "var/log/containers"},
	{"kubelet", "var/log/pods"},
}

func (h host) containerFiles() Check {
	const name = "container_files"
	var readable, refused []string
	for _, f := range runtimeFiles {
		path := filepath.Join(h.Root, f.path)
		_, err := os.ReadDir(path)
		switch {
		case err == nil:
			readable = append(readable, f.runtime+" ("+path+")")
		case errors.Is(err, fs.ErrPermission):
			refused = append(refused, path)
		}
	}
	switch {
	case len(refused) > 0:
		return degraded(name, "not readable: "+strings.Join(refused, ", "), "containers may have no names",
			"run as root, or add CAP_DAC_READ_SEARCH (Kubernetes: capabilities.add: [DAC_READ_SEARCH])")
	case len(readable) > 0:
		return fine(name, strings.Join(readable, ", "), "containers and pods can be named")
	case os.Getenv("KUBERNETES_SERVICE_HOST") != "":
		return degraded(name, "none", "containers and pods have no names",
			"mount the host's /run/containerd (or the directory of your runtime) and /var/log read-only: see deploy/kubernetes/daemonset.yaml")
	}
	return fine(name, "none", "no container runtime on this host")
}

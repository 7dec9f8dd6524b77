// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// containerIDLen is the length of the hexadecimal id that Docker, containerd,
// CRI-O and Podman put into a container's cgroup path.
const containerIDLen = 64

// Container runtimes, as far as a cgroup path tells them apart.
const (
	runtimeContainerd = "containerd"
	runtimeCRIO       = "cri-o"
	runtimeDocker     = "docker"
	runtimePodman     = "podman"
	runtimeLXC        = "lxc"
)

// group is what the control groups of a process say about it.
type group struct {
	// containerID is the id of the innermost container, of LXC its name.
	containerID string
	// runtime is "" where the path does not say.
	runtime string
	// podUID is in the form of the Kubernetes API, with dashes.
	podUID string
	// unit is the systemd unit without ".service"; with a container, one inside.
	unit string
	// path is that of the control group that shares out CPU time: in the unified
	// hierarchy, or in that of version 1's cpu controller.
	path string
}

// parseGroup reads /proc/PID/cgroup (cgroups(7): lines "id:controllers:path").
// The unified hierarchy (0::) is asked first, then systemd's own of version 1
// (name=systemd), then the others; one that knows a container wins over one
// that does not: on hybrid hosts a runtime may use some of them only.
func parseGroup(cgroup []byte) group {
	var found [3]group // unified, name=systemd, others
	unified, cpu := "", ""
	for line := range bytes.Lines(cgroup) {
		_, rest, ok := strings.Cut(strings.TrimRight(string(line), "\n"), ":")
		if !ok {
			continue
		}
		controllers, path, ok := strings.Cut(rest, ":")
		switch {
		case !ok:
		case controllers == "":
			unified = path
			found[0] = parsePath(path)
		case controllers == "name=systemd":
			found[1] = parsePath(path)
		case found[2].containerID == "":
			found[2] = parsePath(path)
		}
		if slices.Contains(strings.Split(controllers, ","), "cpu") {
			cpu = path
		}
	}
	g := innermost(found)
	// A controller is in one hierarchy only: where version 1 has it, that counts.
	g.path = shortened(cmp.Or(cpu, unified))
	return g
}

// innermost prefers the hierarchy that knows a container.
func innermost(found [3]group) group {
	for _, g := range found {
		if g.containerID != "" {
			return g
		}
	}
	if found[0].unit != "" {
		return found[0]
	}
	return group{unit: found[1].unit, podUID: found[1].podUID}
}

// shortened keeps the end of a path, which tells most; what is missing shows.
func shortened(path string) string {
	if len(path) <= maxGroupBytes {
		return path
	}
	return "…" + strings.ToValidUTF8(path[len(path)-maxGroupBytes:], "")
}

// parsePath reads one cgroup path from the root inwards. A container below a
// service does not belong to that service (the runtime's own unit would swallow
// every container it starts), but a service inside a container counts. The user
// manager (user@1000.service) is not a service of its own: everything a user
// starts is under it.
func parsePath(path string) group {
	var g group
	parent, kubernetes := "", false
	for part := range strings.SplitSeq(undeleted(path), "/") {
		kubernetes = kubernetes || strings.Contains(part, "kubepods")
		if kubernetes {
			if uid := podUIDOf(part); uid != "" {
				g.podUID = uid
			}
		}
		if id, runtime := containerOf(part, parent); id != "" {
			g.containerID, g.runtime, g.unit = id, runtime, ""
		}
		name, isService := strings.CutSuffix(part, ".service")
		if isService && name != "" && !strings.HasPrefix(name, "user@") {
			g.unit = name
		}
		parent = part
	}
	return g
}

// containerOf recognises a container in one component of a path:
//
//	<id>                        cgroupfs driver; the parent may tell the runtime
//	docker-<id>.scope           systemd driver: also cri-containerd, crio, libpod, nerdctl
//	<slice>:cri-containerd:<id> containerd with runc's default
//	lxc.payload.<name>          LXC; before 4.0 lxc/<name>
//
// The monitors that CRI-O, Podman and LXC start beside a container are not in it.
func containerOf(part, parent string) (id, runtime string) {
	if name, isLXC := strings.CutPrefix(part, "lxc.payload."); isLXC {
		return name, runtimeLXC
	}
	if (parent == "lxc" || parent == "lxc.payload") && part != "" {
		return part, runtimeLXC
	}
	name := strings.TrimSuffix(part, ".scope")
	at := len(name) - containerIDLen
	if at < 0 || !isHex(name[at:]) {
		return "", ""
	}
	prefix := strings.TrimRight(name[:at], "-:_")
	if at > 0 && prefix == name[:at] || strings.HasSuffix(prefix, "conmon") {
		return "", ""
	}
	if prefix == "" {
		prefix = parent
	} else if i := strings.LastIndexByte(prefix, ':'); i >= 0 {
		prefix = prefix[i+1:]
	}
	return name[at:], runtimeOf(prefix)
}

func runtimeOf(prefix string) string {
	switch prefix {
	case "docker":
		return runtimeDocker
	case "cri-containerd", "containerd", "nerdctl":
		return runtimeContainerd
	case "crio":
		return runtimeCRIO
	case "libpod", "libpod-payload", "libpod_parent":
		return runtimePodman
	}
	return ""
}

// podUIDOf finds the uid in "pod<uid>", "kubepods-burstable-pod<uid>.slice" and
// "kubepods-pod<uid>.slice:cri-containerd:<id>". The systemd driver writes '_'
// for '-'. Pods from a kubelet's files have 32 digits without dashes.
func podUIDOf(part string) string {
	part, _, _ = strings.Cut(part, ":")
	part = strings.TrimSuffix(part, ".slice")
	if i := strings.LastIndex(part, "-pod"); i >= 0 {
		part = part[i+1:]
	}
	uid, isPod := strings.CutPrefix(part, "pod")
	if !isPod || len(uid) != 36 && len(uid) != 32 {
		return ""
	}
	uid = strings.ReplaceAll(uid, "_", "-")
	if !isHex(strings.ReplaceAll(uid, "-", "")) {
		return ""
	}
	return uid
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}

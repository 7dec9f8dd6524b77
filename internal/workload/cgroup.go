// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"strings"
)

// containerIDLen is the length of the hexadecimal id that Docker, containerd,
// CRI-O and Podman put into a container's cgroup path.
const containerIDLen = 64

// parseUnit returns the systemd unit of a process from /proc/PID/cgroup
// (cgroups(7): lines "id:controllers:path"), without ".service", or "" if it
// runs in none. The unified hierarchy (0::) is asked first, then systemd's own
// v1 hierarchy (name=systemd).
func parseUnit(cgroup []byte) string {
	var unified, named string
	for line := range bytes.Lines(cgroup) {
		_, rest, ok := strings.Cut(strings.TrimRight(string(line), "\n"), ":")
		if !ok {
			continue
		}
		controllers, path, ok := strings.Cut(rest, ":")
		switch {
		case !ok:
		case controllers == "":
			unified = unitOfPath(path)
		case controllers == "name=systemd":
			named = unitOfPath(path)
		}
	}
	if unified != "" {
		return unified
	}
	return named
}

// unitOfPath returns the last service in a cgroup path. The user manager
// (user@1000.service) is not a service of its own: everything a user starts is
// under it. A container below a service does not belong to that service either
// (the runtime's own unit would swallow every container it starts), but a
// service inside a container counts.
func unitOfPath(path string) string {
	unit := ""
	for part := range strings.SplitSeq(path, "/") {
		if hasContainerID(part) {
			unit = ""
			continue
		}
		name, isService := strings.CutSuffix(part, ".service")
		if isService && name != "" && !strings.HasPrefix(name, "user@") {
			unit = name
		}
	}
	return unit
}

// hasContainerID reports whether a path component contains 64 hexadecimal
// digits in a row: "<id>", "docker-<id>.scope", "cri-containerd:<id>".
func hasContainerID(part string) bool {
	run := 0
	for i := range len(part) {
		if c := part[i]; c >= '0' && c <= '9' || c >= 'a' && c <= 'f' {
			if run++; run == containerIDLen {
				return true
			}
			continue
		}
		run = 0
	}
	return false
}

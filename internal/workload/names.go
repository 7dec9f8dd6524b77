// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"strconv"

	"probe/pkg/events"
)

// Names are what is known of a process; "" is not known, or none.
type Names struct {
	events.Origin
	// Runtime is containerd, cri-o, docker, podman, lxc or "".
	Runtime string
	// PodUID is the pod's uid in the Kubernetes API.
	PodUID string
	// Service and Project are those of Docker Compose or Swarm.
	Service, Project string
	// Unit is the systemd unit without ".service"; of a process in a container
	// one inside the container, or the one that runs it.
	Unit string
	// Exe is the path of the executable as its own file system has it, Program
	// its base name, with the script of an interpreter. Comm is the command name.
	Exe, Program, Comm string
	// Cgroup is the path of the control group that shares out CPU time.
	Cgroup string
	// Source is the file that told the names of the container.
	Source string
}

// takeGroup takes over what the cgroup path says.
func (n *Names) takeGroup(g group) {
	n.ContainerID, n.Runtime, n.PodUID, n.Unit = g.containerID, g.runtime, g.podUID, g.unit
	n.Cgroup = g.path
}

// takeDetails takes over what the container's files say.
func (n *Names) takeDetails(d *details) {
	n.Container, n.Pod, n.Namespace = d.name, d.pod, d.namespace
	n.Service, n.Project, n.Source = d.service, d.project, d.source
	take := func(to *string, s string) {
		if s != "" {
			*to = s
		}
	}
	take(&n.Runtime, d.runtime)
	take(&n.PodUID, d.podUID)
	if n.Unit == "" {
		n.Unit = d.unit
	}
	switch {
	case d.owner != "":
		n.Workload = d.owner
	case n.Pod != "":
		n.Workload = workloadOf(n.Pod)
	default:
		n.Workload = n.Service
	}
	if n.Pod == "" {
		n.Namespace = n.Project
	}
}

// named reports whether the service has a name without its program.
func (n *Names) named() bool {
	return n.Pod != "" || n.Service != "" || n.Container != "" || n.Unit != ""
}

// serviceName is the policy: pod, Compose or Swarm service, container, unit,
// program and port.
func (n *Names) serviceName(port uint16) string {
	switch {
	case n.Pod != "":
		return join(n.Workload, n.Container)
	case n.Service != "":
		return cut(n.Service)
	case n.Container != "":
		return join(n.Container, n.Unit)
	case n.Unit != "":
		return cut(n.Unit)
	}
	program := cut(n.Program)
	if program == "" {
		program = "unknown"
	}
	if port == 0 {
		return program
	}
	return program + "-" + strconv.Itoa(int(port))
}

// join is "a/b", or one of them where the other says no more.
func join(a, b string) string {
	if b == "" || a == b {
		return cut(a)
	}
	return cut(a) + "/" + cut(b)
}

func cut(name string) string { return name[:min(len(name), maxNameBytes)] }

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"slices"

	"probe/internal/host"
	"probe/internal/workload"
)

// warnAbsent says whether processes are hidden, and which filters match nothing at
// the moment, as far as that can be known: a mistyped one looks like a host without
// requests.
func (a *Agent) warnAbsent() {
	const until = ": nothing will be seen until there is one"
	if workload.Hidden(os.Getenv("HOST_PROC")) {
		a.log.Warn("/proc hides the processes of others (hidepid): services are named by their commands; CAP_SYS_PTRACE lets probe see them")
	}
	pids, comms := workload.Absent(os.Getenv("HOST_PROC"), a.opt.PIDs, a.opt.Comms)
	for _, pid := range pids {
		a.log.Warn("no process of the host has the number of --pid"+until, "pid", pid)
	}
	for _, comm := range comms {
		a.log.Warn("no process has the name of --comm at the moment"+until, "comm", comm)
	}
	if j := a.names.judging; j != nil && j.firstWanted == 0 {
		a.log.Warn("no process matches --container, --namespace and --exe at the moment" + until)
	}
	if a.opt.Role != "server" || len(a.opt.Ports) == 0 {
		return
	}
	listening, err := host.ListeningPorts()
	if err != nil {
		a.log.Debug("not known whether anybody listens on --port", "error", err)
		return
	}
	for _, port := range a.opt.Ports {
		if !slices.Contains(listening, port) {
			a.log.Warn("nobody listens on the port of --port in this network namespace: nothing will be seen until somebody does, here or in another one", "port", port)
		}
	}
}

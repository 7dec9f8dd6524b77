// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"net"
	"net/url"
	"strconv"

	"probe/internal/privilege"
	"probe/pkg/loader"
)

// unprivilegedPort is the first that any user may bind.
const unprivilegedPort = 1024

// dropPrivileges gives up what was needed only to load and attach. That it
// cannot is told and does not stop the agent: it can do no more than before.
func (a *Agent) dropPrivileges() {
	if !a.opt.DropPrivileges {
		return
	}
	keep := a.opt.laterPrivileges(loader.ReadingNeedsPrivilege())
	if a.background != nil {
		keep |= a.background.needs
	}
	left, err := privilege.Drop(keep)
	if err != nil {
		a.log.Warn("privileges not dropped", "error", err)
		return
	}
	a.log.Info("privileges dropped", "left", left.String())
}

// laterPrivileges are those that a running agent uses. Names of services come
// from files of other users' processes and of container runtimes. The maps are
// read through file descriptors that are open, which on old kernels needs the
// same privilege as opening them did (bpf).
func (o Options) laterPrivileges(bpf bool) privilege.Set {
	keep := privilege.Of(privilege.SysPtrace, privilege.DACReadSearch)
	if bpf {
		keep |= privilege.Of(privilege.BPF, privilege.Perfmon, privilege.SysAdmin)
	}
	// The endpoint binds its address again after a failure.
	if _, port, err := net.SplitHostPort(o.Listen); err == nil {
		if n, err := strconv.Atoi(port); err == nil && n < unprivilegedPort {
			keep |= privilege.Of(privilege.NetBindService)
		}
	}
	// Totals and the spool are written for as long as it runs, and connecting again to a
	// receiver's socket is writing to it: both may be another user's.
	if o.StateDir != "" || o.Export.SpoolDir != "" {
		keep |= privilege.Of(privilege.DACOverride)
	}
	if target, _, err := o.Receiver(); err == nil {
		u, err := url.Parse(target.String())
		if err == nil && u.Path != "" {
			keep |= privilege.Of(privilege.DACOverride)
		}
	}
	return keep
}

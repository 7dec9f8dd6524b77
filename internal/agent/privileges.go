// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"probe/internal/owner"
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
	// Totals and the spool are written for as long as it runs, connecting again to a
	// receiver's socket is writing to it, and the ready file is made now and removed
	// at the end: all may be another user's.
	if o.StateDir != "" || o.Export.SpoolDir != "" || o.readyAtAnothers() {
		keep |= privilege.Of(privilege.DACOverride)
	}
	// Files that are made later belong to the owner of these directories, too.
	for _, dir := range []string{o.StateDir, o.Export.SpoolDir} {
		if dir != "" && owner.Another(dir) {
			keep |= privilege.Of(privilege.Chown)
		}
	}
	if target, _, err := o.Receiver(); err == nil && target.Path != "" {
		keep |= privilege.Of(privilege.DACOverride)
	}
	return keep
}

// readyAtAnothers: the directory of the ready file can be written with the
// privilege only.
func (o Options) readyAtAnothers() bool {
	if o.ReadyFile == "" {
		return false
	}
	var denied error
	err := privilege.Without(privilege.Of(privilege.DACOverride), func() {
		denied = unix.Faccessat(unix.AT_FDCWD, filepath.Dir(o.ReadyFile), unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	})
	return err != nil || errors.Is(denied, fs.ErrPermission)
}

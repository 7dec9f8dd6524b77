// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"probe/internal/privilege"
	"probe/pkg/loader"
)

// oldest is the first kernel with everything that is required.
const oldestMajor, oldestMinor = 5, 9

func (h host) kernel() Check {
	const name = "kernel"
	release := h.release()
	if olderThan(release, oldestMajor, oldestMinor) {
		return broken(name, release, "too old", fmt.Sprintf("run kernel %d.%d or later", oldestMajor, oldestMinor))
	}
	return fine(name, release, "new enough")
}

func (h host) btf() Check {
	const name = "btf"
	if _, err := loader.Features(); err != nil {
		return broken(name, "none", "the programs cannot be fitted to this kernel",
			"run a kernel built with CONFIG_DEBUG_INFO_BTF=y; in a container, mount the host's /sys")
	}
	return fine(name, h.Sys+"/kernel/btf/vmlinux", "the programs are fitted to this kernel")
}

// features are the maps, iterators and hooks that the programs use.
func (h host) features() []Check {
	all, err := loader.Features()
	if err != nil {
		return nil // btf has said it
	}
	return judgeFeatures(all)
}

func judgeFeatures(all []loader.Feature) []Check {
	present := map[string]bool{}
	for _, f := range all {
		present[f.Name] = f.Present
	}
	socket := present["hook.sock_send_length"] && present["hook.sock_recv_length"]
	checks := make([]Check, 0, len(all))
	for _, f := range all {
		checks = append(checks, judgeFeature(f, socket, present["hook.sys_exit"]))
	}
	return checks
}

// judgeFeature: of the two sources, one is enough.
func judgeFeature(f loader.Feature, socket, syscall bool) Check {
	if f.Present {
		return fine(f.Name, "there", usedFor(f.Need))
	}
	remedy := "run kernel " + f.Since + " or later"
	switch {
	case f.Need == loader.Required, f.Need == loader.ForSyscallSource && !socket:
		return broken(f.Name, "missing", f.Without, remedy)
	case f.Need == loader.ForSyscallSource:
		return fine(f.Name, "missing", "not needed: the socket hooks are there")
	case f.Need == loader.ForSocketSource && !syscall:
		return broken(f.Name, "missing", "no source of requests", remedy)
	}
	return degraded(f.Name, "missing", f.Without, remedy+", built with this tracepoint or map")
}

func usedFor(n loader.Need) string {
	switch n {
	case loader.Required:
		return "needed"
	case loader.ForSocketSource:
		return "used: sees requests at the sockets"
	case loader.ForSyscallSource:
		return "used with --source syscall only"
	}
	return "used: tells where time goes"
}

// load does what probe run does, for a moment.
func (h host) load(self process) Check {
	const name = "load"
	if !self.effective.Has(privilege.SysAdmin) && !(self.effective.Has(privilege.BPF) && self.effective.Has(privilege.Perfmon)) {
		return broken(name, "not tried", "programs cannot be loaded without CAP_BPF and CAP_PERFMON", "see capability.bpf and capability.perfmon")
	}
	l, err := loader.Load(loader.Options{Detail: loader.DetailFull, Server: true, Client: true})
	if err != nil {
		return loadFailed(name, err)
	}
	detail, missing := l.Detail()
	found := fmt.Sprintf("source %s, detail %s", l.Source(), detail)
	if l.SweepsFiles() {
		found += ", open requests by way of open files (the kernel refuses iterators over maps)"
	}
	if err := l.Close(); err != nil {
		return degraded(name, found, "attached, but did not come off cleanly: "+err.Error(), "report this with the kernel's release")
	}
	if len(missing) > 0 {
		return degraded(name, found, "loaded, verified and attached; without "+strings.Join(missing, ", "), "see the hooks above")
	}
	return fine(name, found, "every program was loaded, verified, attached and detached")
}

func loadFailed(name string, err error) Check {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	switch {
	case errors.Is(err, loader.ErrPermission):
		return broken(name, "refused", text, "see the capabilities, lockdown and seccomp below; Kubernetes: securityContext.privileged: true")
	case errors.Is(err, loader.ErrNotSupported):
		return broken(name, "not possible", text, "what the reason says; else a newer kernel")
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOMEM):
		return broken(name, "failed", text, "what the reason says")
	}
	return broken(name, "failed", text, "probe trace --log-level debug --duration 1s, and report what it prints")
}

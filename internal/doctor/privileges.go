// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"os"
	"strings"

	"probe/internal/privilege"
)

// wanted are the capabilities of use to the program. Without a needed one
// nothing works, unless CAP_SYS_ADMIN, which includes it, is there.
var wanted = []struct {
	cap     privilege.Capability
	name    string
	needed  bool
	with    string
	without string
}{
	{privilege.BPF, "capability.bpf", true, "loads programs and maps", "programs cannot be loaded"},
	{privilege.Perfmon, "capability.perfmon", true, "lets programs read memory of the kernel", "programs cannot be loaded"},
	{privilege.SysPtrace, "capability.sys_ptrace", false, "reads the executable of any process, for names", "services of other users are named by their command name only"},
	{privilege.DACReadSearch, "capability.dac_read_search", false, "reads the files of container runtimes, for names", "containers may have no names, and processes that end at once no unit"},
}

func (h host) capabilities(self process) []Check {
	admin := self.effective.Has(privilege.SysAdmin)
	var checks []Check
	for _, w := range wanted {
		checks = append(checks, judgeCapability(w.name, w.cap, w.needed, w.with, w.without, self, admin))
	}
	found := where(privilege.SysAdmin, self)
	checks = append(checks, fine("capability.sys_admin", found, "not needed; it includes bpf and perfmon"))
	if olderThan(h.release(), 5, 11) {
		checks = append(checks, judgeCapability("capability.sys_resource", privilege.SysResource, !unlimited(self.memlock),
			"raises the memlock limit", "the memlock limit cannot be raised", self, false))
	}
	return checks
}

func judgeCapability(name string, c privilege.Capability, needed bool, with, without string, self process, admin bool) Check {
	found := where(c, self)
	switch {
	case self.effective.Has(c):
		return fine(name, found, with)
	case needed && admin:
		return fine(name, found, "sys_admin includes it")
	case needed:
		return broken(name, found, without, grant(c, self))
	}
	return degraded(name, found, without, grant(c, self))
}

func where(c privilege.Capability, self process) string {
	switch {
	case self.effective.Has(c):
		return "effective"
	case self.bounding.Has(c):
		return "not effective, but in the bounding set"
	}
	return "not even in the bounding set"
}

// grant says how to get a capability. What is not in the bounding set must come
// from whoever started us.
func grant(c privilege.Capability, self process) string {
	name := strings.TrimPrefix(c.String(), "CAP_")
	if self.bounding.Has(c) {
		return "run as root (sudo probe ...); systemd: AmbientCapabilities=" + c.String()
	}
	return "Kubernetes: securityContext.capabilities.add: [" + name + "]; docker: --cap-add " + name +
		"; systemd: CapabilityBoundingSet=" + c.String() + " and AmbientCapabilities=" + c.String()
}

func (h host) lockdown() Check {
	const name = "lockdown"
	text, err := read(h.sys("kernel/security/lockdown"))
	if err != nil {
		return fine(name, "not known", "the kernel has none, or securityfs is not mounted here; load is the proof")
	}
	_, mode, _ := strings.Cut(text, "[")
	mode, _, _ = strings.Cut(mode, "]")
	if mode == "confidentiality" {
		return broken(name, mode, "programs may not read memory of the kernel",
			"boot with lockdown=integrity on the kernel command line instead of lockdown=confidentiality")
	}
	return fine(name, mode, "does not restrict BPF")
}

func (h host) seccomp(self process) Check {
	const name = "seccomp"
	if self.seccomp == "2" {
		return fine(name, "filter", "a filter may refuse bpf(2); load is the proof")
	}
	return fine(name, "none", "refuses nothing")
}

func (h host) memlock(self process) Check {
	const name = "memlock"
	switch {
	case !olderThan(h.release(), 5, 11):
		return fine(name, self.memlock, "not charged for BPF since kernel 5.11")
	case unlimited(self.memlock):
		return fine(name, self.memlock, "enough for the maps")
	case self.effective.Has(privilege.SysResource):
		return fine(name, self.memlock, "will be raised")
	}
	return broken(name, self.memlock, "the maps do not fit", "ulimit -l unlimited; systemd: LimitMEMLOCK=infinity")
}

func unlimited(limit string) bool { return limit == "unlimited" }

func (h host) perfEventParanoid() Check {
	const name = "perf_event_paranoid"
	text, err := read(h.proc("sys/kernel/perf_event_paranoid"))
	if err != nil {
		text = "not known"
	}
	return fine(name, text, "not used: the hooks are no perf events")
}

func (h host) unprivilegedBPF() Check {
	const name = "unprivileged_bpf_disabled"
	text, err := read(h.proc("sys/kernel/unprivileged_bpf_disabled"))
	switch {
	case err != nil:
		return fine(name, "not known", "concerns only users without CAP_BPF")
	case text == "0":
		return fine(name, text, "any user may load BPF programs; safer: sysctl kernel.unprivileged_bpf_disabled=2")
	}
	return fine(name, text, "concerns only users without CAP_BPF")
}

func (h host) tracefs() Check {
	const name = "tracefs"
	for _, path := range []string{h.sys("kernel/tracing"), h.sys("kernel/debug/tracing")} {
		if entries, err := os.ReadDir(path); err == nil && len(entries) > 0 {
			return fine(name, path, "not needed: tracepoints are found through BTF")
		}
	}
	return fine(name, "not mounted, or not for this user", "not needed: tracepoints are found through BTF")
}

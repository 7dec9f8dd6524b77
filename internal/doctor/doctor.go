// SPDX-License-Identifier: Apache-2.0

// Package doctor says what this kernel and these privileges allow the program
// to do, what is missing, and what to do about it. It believes files only where
// it cannot try: programs are loaded and attached for a moment, receivers are
// dialled.
package doctor

import (
	"context"
	"os"
	"runtime"

	"probe/internal/single"
	"probe/pkg/export"
)

// Status is the result of a check.
type Status string

// Statuses.
const (
	// Fine: works, or is not needed.
	Fine Status = "fine"
	// Degraded: the program works and does not measure or name something.
	Degraded Status = "degraded"
	// Broken: nothing works, or nothing arrives.
	Broken Status = "broken"
)

// Check is one line of the report.
type Check struct {
	// Name is stable: capability.bpf, hook.sched_switch.
	Name   string `json:"name"`
	Status Status `json:"status"`
	// Found is what is there, Meaning what follows from it.
	Found   string `json:"found"`
	Meaning string `json:"meaning"`
	// Remedy is what to do: a command or a line of a manifest. "" when fine.
	Remedy string `json:"remedy,omitempty"`
}

// Report is everything that was looked at.
type Report struct {
	Version string `json:"version"`
	Kernel  string `json:"kernel"`
	Arch    string `json:"arch"`
	// Verdict is the worst status of all checks.
	Verdict Status  `json:"verdict"`
	Checks  []Check `json:"checks"`
}

// Options say where to look. The zero value looks at this host.
type Options struct {
	// Version of the program, to be shown.
	Version string
	// Target of the lines and their Prefix, as probe run would use them.
	Target export.Target
	Prefix string
	// Proc and Sys are the host's /proc and /sys; empty means HOST_PROC and
	// HOST_SYS, else /proc and /sys. Root is what all other paths of the host
	// are below; empty means HOST_ROOT, else /.
	Proc, Sys, Root string
	// LockDir is where running agents are found; empty means single.Dir.
	LockDir string
}

func (o *Options) setDefaults() {
	for _, path := range []struct {
		field         *string
		env, fallback string
	}{{&o.Proc, "HOST_PROC", "/proc"}, {&o.Sys, "HOST_SYS", "/sys"}, {&o.Root, "HOST_ROOT", "/"}, {&o.LockDir, "", single.Dir}} {
		if *path.field == "" && path.env != "" {
			*path.field = os.Getenv(path.env)
		}
		if *path.field == "" {
			*path.field = path.fallback
		}
	}
}

// Examine looks at everything. It takes at most a few seconds; ctx ends it early.
func Examine(ctx context.Context, o Options) Report {
	o.setDefaults()
	h := host{o}
	self := h.self()
	r := Report{Version: o.Version, Kernel: h.release(), Arch: runtime.GOARCH}
	r.add(h.kernel(), h.btf())
	r.add(h.features()...)
	r.add(h.userNamespace())
	r.add(h.capabilities(self)...)
	r.add(h.load(self))
	r.add(h.lockdown(), h.seccomp(self), h.memlock(self), h.perfEventParanoid(), h.unprivilegedBPF(), h.tracefs())
	r.add(h.cgroup(), h.pressure(), h.pidNamespace(), h.names(self), h.containerFiles())
	r.add(statsd(ctx, o.Target), h.otherAgents())
	return r
}

func (r *Report) add(checks ...Check) {
	for _, c := range checks {
		r.Checks = append(r.Checks, c)
		r.Verdict = worse(r.Verdict, c.Status)
	}
}

func worse(a, b Status) Status {
	for _, s := range []Status{Broken, Degraded} {
		if a == s || b == s {
			return s
		}
	}
	return Fine
}

// Count returns how many checks have that status.
func (r Report) Count(s Status) int {
	n := 0
	for _, c := range r.Checks {
		if c.Status == s {
			n++
		}
	}
	return n
}

func fine(name, found, meaning string) Check {
	return Check{Name: name, Status: Fine, Found: found, Meaning: meaning}
}

func degraded(name, found, meaning, remedy string) Check {
	return Check{name, Degraded, found, meaning, remedy}
}

func broken(name, found, meaning, remedy string) Check {
	return Check{name, Broken, found, meaning, remedy}
}

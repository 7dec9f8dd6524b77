// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"log/slog"
	"time"

	"probe/pkg/events"
)

// Defaults and fixed limits.
const (
	defaultProcRoot   = "/proc"
	defaultHostRoot   = "/"
	defaultSysRoot    = "/sys"
	defaultMaxEntries = 16384

	// recheckInterval is how long a name is used before the process behind the
	// pid is looked at again, if nothing told of another one before: a command
	// name that was not seen there yet. Pids are reused after thousands of forks,
	// so ten seconds of a wrong name is the worst case and it is rare.
	recheckInterval = 10 * time.Second
	// maxRechecksPerSecond bounds the file reads of re-checks (about 10 µs
	// each), however many entries are due at once.
	maxRechecksPerSecond = 256
	// maxDoubtsPerSecond of them may be because of command names.
	maxDoubtsPerSecond = 128

	// idleEntry is how long a process is remembered that is not asked for.
	idleEntry = 5 * time.Minute

	// maxWait is how long a name may take before a provisional one is given.
	maxWait = time.Second
	// kubeletPatience is how much of it a look-up waits for the kubelet.
	kubeletPatience = 500 * time.Millisecond
	// minWorkers read what may be slow. Each look-up that takes longer than
	// maxWait adds one, up to maxWorkers: that many files may hang before all wait.
	minWorkers, maxWorkers = 4, 32
	// maxJobs bounds the look-ups that wait for a worker.
	maxJobs = 256
	// maxContainers bounds the containers whose names are remembered (about
	// 0.5 KB each); an arbitrary one makes room.
	maxContainers = 4096
	// retryAfter is how long a container without names is left alone.
	retryAfter = 400 * time.Millisecond

	// maxFileBytes is how much of one /proc file is read. cgroup and stat are a
	// few hundred bytes; Java class paths make cmdline long.
	maxFileBytes = 16 << 10
	// maxRuntimeFileBytes bounds a runtime's file: config.json has 10 to 100 KB,
	// containers.json about 1 KB per container.
	maxRuntimeFileBytes = 8 << 20
	// maxDirEntries is how much of one directory of a runtime is read.
	maxDirEntries = 8192
	// maxNameBytes bounds each part of a name: scripts choose their own file
	// names. maxLabelBytes bounds what a runtime's file may say.
	maxNameBytes  = 96
	maxLabelBytes = 253
	// maxGroupBytes is how much of the end of a cgroup's path is kept; those of
	// Kubernetes have about 200.
	maxGroupBytes = 512
)

// Options of a Resolver. The zero value is usable.
type Options struct {
	// ProcRoot is where the host's proc file system is mounted, with the pids of
	// the initial pid namespace. Default /proc.
	ProcRoot string
	// HostRoot is where the host's file system is mounted, for the files of
	// container runtimes. Default /.
	HostRoot string
	// SysRoot is where the host's sysfs is mounted, with the control groups below
	// it. Default /sys.
	SysRoot string
	// Rules choose service names before the policy does; the first that matches.
	Rules []Rule
	// Tags reduces an Origin to what a series is told apart by. Nil: to nothing.
	Tags func(events.Origin) events.Origin
	// Kubelet tells the names of pods besides; nil: it is not asked.
	Kubelet *Kubelet
	// Renamed is told, in Resolve and Poll, when requests of a process got a
	// provisional name before. Nil: nobody is.
	Renamed func(provisional, name string)
	// MaxEntries is how many (pid, port) pairs are remembered; beyond it the one
	// unused for longest makes room, roughly. Default 16384, about 5 MiB.
	MaxEntries int
	// Log gets what goes wrong with the kubelet, once. Nil: nobody does.
	Log *slog.Logger
}

// OptionsFromEnv returns Options with the roots of HOST_PROC, HOST_ROOT and
// HOST_SYS, the variables that tell a program in a container where the host's are
// mounted.
func OptionsFromEnv(getenv func(string) string) Options {
	return Options{ProcRoot: getenv("HOST_PROC"), HostRoot: getenv("HOST_ROOT"), SysRoot: getenv("HOST_SYS")}
}

func (o Options) withDefaults() Options {
	if o.ProcRoot == "" {
		o.ProcRoot = defaultProcRoot
	}
	if o.HostRoot == "" {
		o.HostRoot = defaultHostRoot
	}
	if o.SysRoot == "" {
		o.SysRoot = defaultSysRoot
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = defaultMaxEntries
	}
	if o.Tags == nil {
		o.Tags = func(events.Origin) events.Origin { return events.Origin{} }
	}
	if o.Renamed == nil {
		o.Renamed = func(string, string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

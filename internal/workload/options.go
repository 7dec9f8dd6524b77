// SPDX-License-Identifier: Apache-2.0

package workload

import "time"

// Defaults and fixed limits.
const (
	defaultProcRoot   = "/proc"
	defaultMaxEntries = 16384

	// recheckInterval is how long a name is used before the process behind the
	// pid is looked at again. Pids are reused after thousands of forks, so ten
	// seconds of a wrong name is the worst case and it is rare.
	recheckInterval = 10 * time.Second
	// maxRechecksPerSecond bounds the file reads of re-checks (about 10 µs
	// each), however many entries are due at once.
	maxRechecksPerSecond = 256

	// maxFileBytes is how much of one /proc file is read. cgroup and stat are a
	// few hundred bytes; Java class paths make cmdline long.
	maxFileBytes = 16 << 10
	// maxNameBytes bounds a name: scripts choose their own file names.
	maxNameBytes = 96
)

// Options of a Resolver. The zero value is usable.
type Options struct {
	// ProcRoot is where the host's proc file system is mounted, with the pids of
	// the initial pid namespace. Default /proc.
	ProcRoot string
	// MaxEntries is how many (pid, port) pairs are remembered; beyond it the one
	// unused for longest makes room, roughly. Default 16384, about 3 MiB.
	MaxEntries int
}

func (o Options) withDefaults() Options {
	if o.ProcRoot == "" {
		o.ProcRoot = defaultProcRoot
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = defaultMaxEntries
	}
	return o
}

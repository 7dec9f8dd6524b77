// SPDX-License-Identifier: Apache-2.0

package host

import "time"

// Defaults and limits.
const (
	defaultProcRoot = "/proc"
	defaultSysRoot  = "/sys"
	// DefaultMaxServices is the number of control groups read per look, at about
	// 11 µs each, 47 µs where their files may not stay open (BenchmarkReadGroup).
	DefaultMaxServices = 128
	// DefaultMaxListeners is the number of listening sockets in one HostState.
	DefaultMaxListeners = 256

	// listEvery is how many looks a list of control groups is used for: walking
	// them costs more than reading the few that matter.
	listEvery = 10
	// listAfter is how long it is used for where looks are rare: a new service
	// should not wait for ten of them.
	listAfter = 10 * time.Second
	// maxGroupsWalked and maxGroupDepth bound one walk.
	maxGroupsWalked = 8192
	maxGroupDepth   = 16
	// maxFileBytes of a control group's file; they have a few hundred.
	maxFileBytes = 4096
	// maxDumps is how often the list of sockets is asked for when it changed
	// while it was told.
	maxDumps = 3
)

// Options of a Reader. The zero value is usable.
type Options struct {
	// ProcRoot and SysRoot are where the host's proc and sysfs are mounted.
	// Default /proc and /sys.
	ProcRoot, SysRoot string
	// MaxServices and MaxListeners bound a HostState; what is beyond is counted.
	// 0: DefaultMaxServices, DefaultMaxListeners.
	MaxServices, MaxListeners int
}

// OptionsFromEnv returns Options with the roots of HOST_PROC and HOST_SYS, the
// variables that tell a program in a container where the host's are mounted.
func OptionsFromEnv(getenv func(string) string) Options {
	return Options{ProcRoot: getenv("HOST_PROC"), SysRoot: getenv("HOST_SYS")}
}

func (o Options) withDefaults() Options {
	if o.ProcRoot == "" {
		o.ProcRoot = defaultProcRoot
	}
	if o.SysRoot == "" {
		o.SysRoot = defaultSysRoot
	}
	if o.MaxServices <= 0 {
		o.MaxServices = DefaultMaxServices
	}
	if o.MaxListeners <= 0 {
		o.MaxListeners = DefaultMaxListeners
	}
	return o
}

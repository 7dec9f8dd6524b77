// SPDX-License-Identifier: Apache-2.0

package loader

// SweepFiles makes sweeps go over open files where the kernel would allow
// iterators over maps, too.
func SweepFiles(o Options) Options {
	o.sweepFiles = true
	return o
}

// UserMemory makes the programs read messages from the memory of the processes
// where they could read most of them from what the sockets hold.
func UserMemory(o Options) Options {
	o.userMemory = true
	return o
}

// PageSteps is pageSteps, for its table test.
var PageSteps = pageSteps

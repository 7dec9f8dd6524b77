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

// Impatient makes a call that finds another one on its connection be left out at once,
// as if the CPU of the other one had been taken away.
func Impatient(o Options) Options {
	o.impatient = true
	return o
}

// PageSteps is pageSteps, for its table test.
var PageSteps = pageSteps

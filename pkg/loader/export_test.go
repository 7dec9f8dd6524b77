// SPDX-License-Identifier: Apache-2.0

package loader

// SweepFiles makes sweeps go over open files where the kernel would allow
// iterators over maps, too.
func SweepFiles(o Options) Options {
	o.sweepFiles = true
	return o
}

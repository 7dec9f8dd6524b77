// SPDX-License-Identifier: Apache-2.0

package process

import "golang.org/x/sys/unix"

// KernelRelease is that of the kernel that runs, for reports: uname(2), or
// "unknown".
func KernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"os"
	"strconv"
	"strings"
)

// selfTgid is our thread group id as the kernel side sees it: in the initial
// pid namespace. /proc mounted from the host says it in the first column of
// NSpid; inside a private namespace nobody can say, and the local id is used.
func selfTgid() uint32 {
	data, err := os.ReadFile("/proc/self/status")
	if err == nil {
		for line := range strings.Lines(string(data)) {
			if rest, ok := strings.CutPrefix(line, "NSpid:"); ok {
				if id, err := strconv.ParseUint(strings.Fields(rest)[0], 10, 32); err == nil {
					return uint32(id)
				}
			}
		}
	}
	return uint32(os.Getpid())
}

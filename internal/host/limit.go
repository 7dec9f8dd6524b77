// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"path/filepath"
	"strings"
)

// OwnMemoryLimit is the least memory limit of this process's control group and
// those above it, in bytes; 0: none, or not known.
func OwnMemoryLimit() uint64 {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	return memoryLimit(string(text), findLayout(defaultSysRoot))
}

// memoryLimit reads the limits of the groups of a /proc/PID/cgroup. In a container
// the path may be that of the host while only what is below it is mounted: then
// the root is left, which is the container's.
func memoryLimit(groups string, in layout) (least uint64) {
	for line := range strings.Lines(groups) {
		_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(rest, ":")
		root, file := in.unified, "memory.max"
		if controllers != "" {
			root, file = in.memory, "memory.limit_in_bytes"
		}
		if root == "" || controllers != "" && controllers != "memory" {
			continue
		}
		for path = filepath.Clean("/" + path); ; path = filepath.Dir(path) {
			text, err := os.ReadFile(filepath.Join(root, path, file))
			if n, known := parseNumber(text); err == nil && known && n < noLimit && (least == 0 || n < least) {
				least = n
			}
			if path == "/" {
				break
			}
		}
	}
	return least
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for path, text := range map[string]string{
		"v2/kube/memory.max": "67108864\n", "v2/kube/pod/memory.max": "max\n", "v2/kube/other/memory.max": "1000\n",
		"v1/memory.limit_in_bytes": "9223372036854771712\n", "v1/docker/memory.limit_in_bytes": "33554432\n",
		"container/memory.max": "50000000\n",
	} {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	v1, v2 := filepath.Join(root, "v1"), filepath.Join(root, "v2")
	for _, test := range []struct {
		groups string
		in     layout
		want   uint64
	}{
		{"0::/kube/pod\n", layout{unified: v2}, 64 << 20}, // of the group above
		{"0::/\n", layout{unified: v2}, 0},
		{"0::/host/path/of/it\n", layout{unified: filepath.Join(root, "container")}, 50_000_000},
		{"5:cpu,cpuacct:/docker\n4:memory:/docker\n0::/kube\n", layout{memory: v1}, 32 << 20},
		{"4:memory:/docker\n0::/kube\n", layout{memory: v1, unified: v2}, 32 << 20},
		{"4:memory:/\n", layout{memory: v1}, 0},
		{"0::/kube\n", layout{}, 0},
		{"garbage", layout{unified: v2}, 0},
	} {
		if got := memoryLimit(test.groups, test.in); got != test.want {
			t.Errorf("%q: %d, want %d", test.groups, got, test.want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// RequireRoot skips the test unless it runs as root. why completes the message
// "needs root to ...". With PROBE_REQUIRE_BPF=1 it fails instead: a machine that
// must have BPF has root.
func RequireRoot(t testing.TB, why string) {
	t.Helper()
	requireRoot(t, os.Geteuid(), why)
}

func requireRoot(t testing.TB, uid int, why string) {
	t.Helper()
	if uid != 0 {
		Lacking(t, "needs root to "+why)
	}
}

// Lacking skips the test because of what this machine lacks, or fails it with
// PROBE_REQUIRE_BPF=1. Not for what a machine for tests may well lack.
func Lacking(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv(requireEnv) == "1" {
		t.Fatalf("%s (%s=1 forbids to skip)", reason, requireEnv)
		return
	}
	t.Skip(reason)
}

// SmallDisk mounts a file system of a size like "128k" and returns its
// directory. What the test opens there must be closed by its end. Needs root, as
// RequireRoot says.
func SmallDisk(t testing.TB, size string) string {
	t.Helper()
	RequireRoot(t, "mount a small disk")
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount the small disk: %v", err)
		}
	})
	return dir
}

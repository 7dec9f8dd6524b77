// SPDX-License-Identifier: Apache-2.0

// Package testutil holds what tests of several packages need: earned skips,
// leak checks and golden files. Only tests import it.
package testutil

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// requireEnv, set to 1, turns every skip of RequireBPF, RequireRoot and Lacking
// into a failure, so that a machine known to have BPF cannot pass by testing
// nothing.
const requireEnv = "PROBE_REQUIRE_BPF"

// RequireBPF skips the test where it cannot run: on a kernel older than
// minKernel ("5.14"), without the privileges for BPF, or without BTF. what names
// the feature in the message: "ring buffer", "tp_btf". With PROBE_REQUIRE_BPF=1
// it fails instead. A kernel new enough whose feature is broken is not skipped:
// the test runs and shows it.
func RequireBPF(t testing.TB, minKernel, what string) {
	t.Helper()
	release, err := kernelRelease()
	if err != nil {
		t.Fatalf("require BPF: %v", err)
	}
	judge(t, machine{release: release, bpf: tryBPF()}, minKernel, what)
}

// machine is what RequireBPF found out about the host.
type machine struct {
	release string // uname -r
	bpf     error  // why BPF cannot be used, nil if it can
}

func judge(t testing.TB, m machine, minKernel, what string) {
	t.Helper()
	reason, err := m.missing(minKernel, what)
	switch {
	case err != nil:
		t.Fatalf("require BPF: %v", err)
	case reason != "":
		Lacking(t, reason)
	}
}

// missing says why a test that needs what cannot run on m, or "".
func (m machine) missing(minKernel, what string) (string, error) {
	have, err := parseVersion(m.release)
	if err != nil {
		return "", err
	}
	need, err := parseVersion(minKernel)
	if err != nil {
		return "", err
	}
	switch {
	case have.less(need):
		return fmt.Sprintf("%s needs kernel %s, this is %s", what, minKernel, m.release), nil
	case m.bpf != nil:
		return fmt.Sprintf("%s needs BPF: %v", what, m.bpf), nil
	}
	return "", nil
}

type version struct{ major, minor int }

func (v version) less(o version) bool {
	return v.major < o.major || v.major == o.major && v.minor < o.minor
}

// parseVersion reads the first two numbers of "6.18.44-generic", "5.14", "7.0-rc1".
func parseVersion(s string) (version, error) {
	majorText, rest, found := strings.Cut(s, ".")
	major, err := strconv.Atoi(majorText)
	if !found || err != nil {
		return version{}, fmt.Errorf("parse kernel version %q", s)
	}
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	minor, err := strconv.Atoi(rest[:digits])
	if err != nil {
		return version{}, fmt.Errorf("parse kernel version %q", s)
	}
	return version{major, minor}, nil
}

func kernelRelease() (string, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return "", fmt.Errorf("read kernel release: %w", err)
	}
	return unix.ByteSliceToString(uts.Release[:]), nil
}

// tryBPF creates a map of a type that always needs CAP_BPF (LRU hash). Asking the
// kernel beats guessing from the user id: root in a container may lack the
// capability, and another user may have it.
func tryBPF() error {
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		return fmt.Errorf("kernel type information: %w", err)
	}
	// The first members of union bpf_attr for BPF_MAP_CREATE (linux/bpf.h).
	attr := struct{ mapType, keySize, valueSize, maxEntries, flags uint32 }{
		mapType: unix.BPF_MAP_TYPE_LRU_HASH, keySize: 4, valueSize: 4, maxEntries: 1,
	}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_MAP_CREATE,
		uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno == unix.EPERM {
		return errors.New("not permitted (run as root)")
	}
	if errno != 0 {
		return fmt.Errorf("create a map: %w", errno)
	}
	return unix.Close(int(fd))
}

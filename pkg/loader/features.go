// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// checkKernel says in one sentence what is missing, before anything is loaded.
func checkKernel() (*btf.Spec, error) {
	if err := CheckPrivileges(); err != nil {
		return nil, err
	}
	kernel, err := kernelTypes()
	if err != nil {
		return nil, err
	}
	if err := features.HaveMapType(ebpf.RingBuf); errors.Is(err, ebpf.ErrNotSupported) {
		return nil, fmt.Errorf("%w: no BPF ring buffer; run kernel 5.9 or later", ErrNotSupported)
	} else if err != nil {
		return nil, fmt.Errorf("cannot create a BPF map: %w", explain(err))
	}
	if !hasIterators(kernel) {
		return nil, fmt.Errorf("%w: no BPF iterators; run kernel 5.9 or later", ErrNotSupported)
	}
	return kernel, nil
}

// kernelTypes is the kernel's description of its own types.
func kernelTypes() (*btf.Spec, error) {
	kernel, err := btf.LoadKernelSpec()
	if _, noSys := os.Stat("/sys/kernel"); err != nil && noSys != nil {
		return nil, fmt.Errorf("%w: no type information of the kernel: /sys is not mounted here (mount -t sysfs none /sys; in a container, mount the host's)", ErrNotSupported)
	} else if err != nil {
		return nil, fmt.Errorf("%w: no BTF type information (/sys/kernel/btf/vmlinux); run a kernel built with CONFIG_DEBUG_INFO_BTF=y", ErrNotSupported)
	}
	return kernel, nil
}

// CheckPrivileges returns an error that wraps ErrPermission, and says what to
// do, when this process may not load programs. It looks at the effective
// capabilities, not at the user id: a container may have the one without the other.
func CheckPrivileges() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return fmt.Errorf("read own capabilities: %w", err)
	}
	have := func(c int) bool { return caps[c/32].Effective&(1<<(c%32)) != 0 }
	if have(unix.CAP_SYS_ADMIN) {
		return nil
	}
	missing := ""
	for _, c := range []struct {
		bit  int
		name string
	}{{unix.CAP_BPF, "CAP_BPF"}, {unix.CAP_PERFMON, "CAP_PERFMON"}} {
		if !have(c.bit) {
			missing += " and " + c.name
		}
	}
	if missing == "" {
		return nil
	}
	return fmt.Errorf("%w: %s; run as root or add CAP_BPF,CAP_PERFMON", ErrPermission, missing[len(" and "):])
}

// chooseSource resolves SourceAuto and refuses what the kernel does not have.
func chooseSource(want Source, kernel *btf.Spec) (Source, error) {
	has := func(tracepoint string) bool { return hasTracepoint(kernel, tracepoint) }
	socket := has("sock_send_length") && has("sock_recv_length")
	switch {
	case want == SourceSocket && !socket:
		return "", fmt.Errorf("%w: no tracepoints sock_send_length and sock_recv_length (kernel 6.3); use --source syscall", ErrNotSupported)
	case want == SourceAuto && socket, want == SourceSocket:
		return SourceSocket, nil
	case !has("sys_exit"):
		return "", fmt.Errorf("%w: no tracepoint sys_exit; run a kernel built with CONFIG_FTRACE_SYSCALLS=y", ErrNotSupported)
	}
	return SourceSyscall, nil
}

// tickNS is the length of the kernel's tick, 1/CONFIG_HZ s, in nanoseconds: the
// resolution of the clocks that it moves on. 0: not known.
func tickNS() uint32 {
	var resolution unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &resolution); err != nil {
		return 0
	}
	return uint32(resolution.Nano())
}

// preemptsTracepoints: since 7.0 (commit a46023d5616e) programs on tracepoints
// may be preempted where the kernel is. Nothing in its type information says so.
func preemptsTracepoints() (bool, error) {
	version, err := features.LinuxVersionCode()
	if err != nil {
		return false, fmt.Errorf("read the version of the kernel: %w", err)
	}
	return version>>16 >= 7, nil
}

// explain turns the kernel's answer into a remedy where there is a usual one.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("%w: there is no bpf(2) here: a seccomp filter or a sandbox refuses it, or the kernel is built without CONFIG_BPF_SYSCALL", ErrNotSupported)
	case (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES)) && inUserNamespace():
		return fmt.Errorf("%w: root in a user namespace (rootless container, unshare -U) is not root of the host, which BPF needs: run it outside", ErrPermission)
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		if data, e := os.ReadFile("/sys/kernel/security/lockdown"); e == nil && len(data) > 0 {
			return fmt.Errorf("%w: the kernel refused (lockdown: %s); run as root with CAP_BPF,CAP_PERFMON, and without lockdown=confidentiality", ErrPermission, firstLine(data))
		}
		return fmt.Errorf("%w: the kernel refused; run as root or add CAP_BPF,CAP_PERFMON (seccomp and LSM policies can refuse too)", ErrPermission)
	case errors.Is(err, unix.ENOMEM):
		return fmt.Errorf("%w: raise the memory limit of the control group, before kernel 5.11 the memlock limit (ulimit -l unlimited)", unix.ENOMEM)
	case errors.Is(err, unix.EMFILE):
		return fmt.Errorf("%w: raise the limit, 256 is enough (ulimit -n, LimitNOFILE=)", unix.EMFILE)
	case errors.Is(err, unix.ENFILE):
		return fmt.Errorf("%w: the whole host has no more (sysctl fs.file-max)", unix.ENFILE)
	}
	return err
}

func inUserNamespace() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && !HostUsers(string(text))
}

// HostUsers reports whether a /proc/PID/uid_map (user_namespaces(7)) is that of the
// host's own user namespace, in which every user is mapped to itself. The kernel takes
// the capabilities of no other for BPF.
func HostUsers(uidMap string) bool {
	return strings.Join(strings.Fields(uidMap), " ") == "0 0 4294967295"
}

func firstLine(b []byte) string {
	for i, c := range b {
		if c == '\n' {
			return string(b[:i])
		}
	}
	return string(b)
}

// ReadingNeedsPrivilege reports whether this kernel wants the capabilities of
// Load for every later look at counters and connections too, as kernels before
// 5.19 do (c8644cd0efe7, "bpf: refine kernel.unprivileged_bpf_disabled
// behaviour"). True also when the release cannot be told.
func ReadingNeedsPrivilege() bool {
	var uts unix.Utsname
	if unix.Uname(&uts) != nil {
		return true
	}
	return olderThan(unix.ByteSliceToString(uts.Release[:]), 5, 19)
}

// olderThan compares a release like 6.1.0-13-amd64. One it cannot read is old.
func olderThan(release string, major, minor int) bool {
	var x, y int
	if n, _ := fmt.Sscanf(release, "%d.%d", &x, &y); n != 2 {
		return true
	}
	return x < major || x == major && y < minor
}

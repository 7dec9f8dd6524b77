// SPDX-License-Identifier: Apache-2.0

// Package privilege reads the capabilities of this process and gives up those
// that it no longer needs, in all of its threads.
package privilege

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Capability is a capability by number, as in linux/capability.h.
type Capability int

// Those that matter to the program.
const (
	Chown          Capability = unix.CAP_CHOWN
	DACOverride    Capability = unix.CAP_DAC_OVERRIDE
	DACReadSearch  Capability = unix.CAP_DAC_READ_SEARCH
	NetBindService Capability = unix.CAP_NET_BIND_SERVICE
	SysPtrace      Capability = unix.CAP_SYS_PTRACE
	SysAdmin       Capability = unix.CAP_SYS_ADMIN
	SysNice        Capability = unix.CAP_SYS_NICE
	SysResource    Capability = unix.CAP_SYS_RESOURCE
	Perfmon        Capability = unix.CAP_PERFMON
	BPF            Capability = unix.CAP_BPF
)

var names = map[Capability]string{
	Chown: "CAP_CHOWN", DACOverride: "CAP_DAC_OVERRIDE", DACReadSearch: "CAP_DAC_READ_SEARCH", NetBindService: "CAP_NET_BIND_SERVICE",
	SysPtrace: "CAP_SYS_PTRACE", SysAdmin: "CAP_SYS_ADMIN", SysNice: "CAP_SYS_NICE", SysResource: "CAP_SYS_RESOURCE", Perfmon: "CAP_PERFMON", BPF: "CAP_BPF",
}

// String is the name of the capability, or its number.
func (c Capability) String() string {
	if name, known := names[c]; known {
		return name
	}
	return fmt.Sprintf("capability %d", int(c))
}

// Set is a set of capabilities, one bit each.
type Set uint64

// Of makes a set.
func Of(caps ...Capability) Set {
	var s Set
	for _, c := range caps {
		s |= 1 << c
	}
	return s
}

// Has reports whether c is in the set.
func (s Set) Has(c Capability) bool { return s&(1<<c) != 0 }

// String lists the capabilities by name, or says none.
func (s Set) String() string {
	var all []string
	for c := Capability(0); c < 64; c++ {
		if s.Has(c) {
			all = append(all, c.String())
		}
	}
	if all == nil {
		return "none"
	}
	return strings.Join(all, ",")
}

// ErrCgo: the C library makes threads that cannot be reached. A static binary
// does not have it.
var ErrCgo = errors.New("built with the C library: build with CGO_ENABLED=0")

// Effective returns the capabilities that this thread can use.
func Effective() (Set, error) {
	_, data, err := capget()
	return Set(data[0].Effective) | Set(data[1].Effective)<<32, err
}

func capget() (header unix.CapUserHeader, data [2]unix.CapUserData, err error) {
	header.Version = unix.LINUX_CAPABILITY_VERSION_3
	if err := unix.Capget(&header, &data[0]); err != nil {
		return header, data, fmt.Errorf("read own capabilities: %w", err)
	}
	return header, data, nil
}

// Drop gives up, for ever and in all threads, every capability that is not in
// keep, and the right to gain any by starting a program. It returns what is
// left. What this process does not have it does not get.
func Drop(keep Set) (Set, error) {
	header, data, err := capget()
	if err != nil {
		return 0, err
	}
	had := Set(data[0].Permitted) | Set(data[1].Permitted)<<32
	if err := onAllThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return had, fmt.Errorf("give up new privileges: %w", err)
	}
	if err := dropBounding(keep, had); err != nil {
		return had, err
	}
	left := had & keep
	for i := range data {
		part := uint32(left >> (32 * i))
		data[i] = unix.CapUserData{Effective: part, Permitted: part}
	}
	header.Pid = 0 // the calling thread, each in its turn
	if err := onAllThreads(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0); err != nil {
		return had, fmt.Errorf("drop capabilities: %w", err)
	}
	return left, nil
}

// Without runs f in a thread that cannot use what is in out meanwhile.
func Without(out Set, f func()) error {
	runtime.LockOSThread()
	header, before, err := capget()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	during := before
	for i := range during {
		during[i].Effective &^= uint32(out >> (32 * i))
	}
	if err := unix.Capset(&header, &during[0]); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("do without %v: %w", out, err)
	}
	f()
	if err := unix.Capset(&header, &before[0]); err != nil {
		return fmt.Errorf("have %v again: %w", out, err) // the thread stays with its goroutine
	}
	runtime.UnlockOSThread()
	return nil
}

// dropBounding lowers the bounding set, which only CAP_SETPCAP allows. Without
// it, no_new_privs keeps the set from being of use.
func dropBounding(keep, had Set) error {
	if !had.Has(unix.CAP_SETPCAP) {
		return nil
	}
	for c := Capability(0); c <= unix.CAP_LAST_CAP; c++ {
		if keep.Has(c) {
			continue
		}
		err := onAllThreads(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0)
		if err != nil && !errors.Is(err, unix.EINVAL) { // a kernel that does not know it
			return fmt.Errorf("drop %v from the bounding set: %w", c, err)
		}
	}
	return nil
}

// onAllThreads may be given pointers as numbers: what they point to must be where
// the runtime does not move it, as the stack.
//
//go:uintptrescapes
func onAllThreads(trap, a, b, c uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall(trap, a, b, c)
	if errno == unix.ENOTSUP {
		return ErrCgo
	}
	if errno != 0 {
		return errno
	}
	return nil
}

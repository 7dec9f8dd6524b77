// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// programCost is what one BPF program did while the kernel kept statistics.
type programCost struct {
	id       uint32
	name     string
	runNS    uint64
	runCount uint64
}

// bpfCommand calls bpf(2); the structs are prefixes of union bpf_attr.
func bpfCommand(command int, attr unsafe.Pointer, size uintptr) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attr), size)
	if errno != 0 {
		return 0, errno
	}
	return int(fd), nil
}

// enableRunTime makes the kernel measure every run of every BPF program until
// the file is closed (BPF_ENABLE_STATS, kernel 5.8). Unlike the sysctl
// kernel.bpf_stats_enabled it cannot stay on after a crash.
func enableRunTime() (*os.File, error) {
	attr := struct{ kind uint32 }{unix.BPF_STATS_RUN_TIME}
	fd, err := bpfCommand(unix.BPF_ENABLE_STATS, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		return nil, fmt.Errorf("enable statistics of BPF programs: %w", err)
	}
	return os.NewFile(uintptr(fd), "bpf-stats"), nil
}

// programsOf reads the statistics of all programs that a process holds, ordered
// by name.
func programsOf(pid int) ([]programCost, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	if err != nil {
		return nil, err
	}
	var costs []programCost
	for _, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, os.ErrNotExist) {
			continue // closed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("read statistics of BPF programs: %w", err)
		}
		c, ok := parseProgramInfo(text)
		if !ok || slices.ContainsFunc(costs, func(o programCost) bool { return o.id == c.id }) {
			continue
		}
		if c.name, err = programName(c.id); err != nil {
			return nil, err
		}
		costs = append(costs, c)
	}
	slices.SortFunc(costs, func(a, b programCost) int { return cmp.Compare(a.name, b.name) })
	return costs, nil
}

// parseProgramInfo reads the fdinfo of a BPF program; false for other files.
func parseProgramInfo(fdinfo []byte) (programCost, bool) {
	var c programCost
	found := 0
	for line := range strings.Lines(string(fdinfo)) {
		name, value, _ := strings.Cut(line, ":")
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "prog_id":
			c.id = uint32(n)
		case "run_time_ns":
			c.runNS = n
		case "run_cnt":
			c.runCount = n
		default:
			continue
		}
		found++
	}
	return c, found == 3
}

// programName asks the kernel: fdinfo does not say it.
func programName(id uint32) (string, error) {
	byID := struct{ id, next, flags uint32 }{id: id}
	fd, err := bpfCommand(unix.BPF_PROG_GET_FD_BY_ID, unsafe.Pointer(&byID), unsafe.Sizeof(byID))
	if err != nil {
		return "", fmt.Errorf("open BPF program %d: %w", id, err)
	}
	defer unix.Close(fd)
	info := struct { // struct bpf_prog_info, linux/bpf.h, up to name
		_    [64]byte
		name [unix.BPF_OBJ_NAME_LEN]byte
	}{}
	attr := struct {
		fd, size uint32
		info     unsafe.Pointer
	}{uint32(fd), uint32(unsafe.Sizeof(info)), unsafe.Pointer(&info)}
	if _, err := bpfCommand(unix.BPF_OBJ_GET_INFO_BY_FD, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return "", fmt.Errorf("describe BPF program %d: %w", id, err)
	}
	name, _, _ := bytes.Cut(info.name[:], []byte{0})
	return string(name), nil
}

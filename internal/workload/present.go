// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"cmp"
	"maps"
	"os"
	"slices"
	"strconv"
)

// Hidden reports whether /proc shows no processes of others (hidepid), so that their
// names can only be those of their commands. CAP_SYS_PTRACE sees them all the same.
func Hidden(procRoot string) bool {
	proc := newProcReader(cmp.Or(procRoot, defaultProcRoot))
	for _, pid := range []uint32{1, 2} { // some policies hide the first from all
		if _, err := os.Stat(proc.path(pid, "stat")); err == nil {
			return false
		}
	}
	return true
}

// Absent returns which of these pids no process has, and which of these command
// names; nothing where /proc hides processes of others (hidepid). A thread is no
// process.
func Absent(procRoot string, pids []uint32, comms []string) (noPIDs []uint32, noComms []string) {
	if Hidden(procRoot) {
		return nil, nil
	}
	proc := newProcReader(cmp.Or(procRoot, defaultProcRoot))
	for _, pid := range pids {
		if !proc.leads(pid) {
			noPIDs = append(noPIDs, pid)
		}
	}
	if len(comms) > 0 {
		noComms = proc.withoutProcess(comms)
	}
	return noPIDs, noComms
}

// leads reports whether pid is that of a process; /proc answers for threads, too.
func (p *procReader) leads(pid uint32) bool {
	for line := range bytes.Lines(p.file(pid, "status")) {
		if tgid, is := bytes.CutPrefix(line, []byte("Tgid:")); is {
			return string(bytes.TrimSpace(tgid)) == strconv.FormatUint(uint64(pid), 10)
		}
	}
	return false
}

func (p *procReader) withoutProcess(comms []string) []string {
	missing := make(map[string]bool, len(comms))
	for _, comm := range comms {
		missing[comm] = true
	}
	entries, err := os.ReadDir(p.root)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if pid, err := strconv.ParseUint(e.Name(), 10, 32); err == nil {
			delete(missing, string(bytes.TrimSuffix(p.file(uint32(pid), "comm"), []byte("\n"))))
		}
		if len(missing) == 0 {
			break
		}
	}
	return slices.Sorted(maps.Keys(missing))
}

// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// identity tells two processes with the same pid apart. The zero value means
// that the process is gone or cannot be read.
type identity struct {
	// startTicks is the start time in clock ticks since boot (proc(5), stat
	// field 22). It is the same after exec, so exe is compared too.
	startTicks uint64
	// exe is the target of the exe link as the kernel shows it.
	exe string
}

// matches reports whether a later look found the same process running the same
// program. A process about to be reaped has no exe any more.
func (id identity) matches(later identity) bool {
	return id.startTicks == later.startTicks && (id.exe == later.exe || later.exe == "")
}

// procReader reads the files of one process. Its methods share buf.
type procReader struct {
	root string
	buf  []byte
}

func newProcReader(root string) procReader {
	return procReader{root: root, buf: make([]byte, maxFileBytes)}
}

// identity costs two small reads. The exe link of other users' processes needs
// CAP_SYS_PTRACE; without it exe is empty.
func (p *procReader) identity(pid uint32) identity {
	start := parseStartTicks(p.file(pid, "stat"))
	if start == 0 {
		return identity{}
	}
	exe, err := os.Readlink(p.path(pid, "exe"))
	if err != nil {
		exe = ""
	}
	return identity{startTicks: start, exe: exe}
}

// look returns what /proc says about a process without waiting for anybody; all
// of it is zero when the process is gone.
func (p *procReader) look(pid uint32) (identity, group) {
	process := p.identity(pid)
	if process.startTicks == 0 {
		return identity{}, group{}
	}
	return process, parseGroup(p.file(pid, "cgroup"))
}

// file returns the first maxFileBytes of a file, valid until the next call, and
// nothing when it cannot be read: then the process is gone or not ours to see.
func (p *procReader) file(pid uint32, name string) []byte {
	f, err := os.Open(p.path(pid, name))
	if err != nil {
		return nil
	}
	defer f.Close()
	n, err := io.ReadFull(f, p.buf)
	if err != nil && err != io.ErrUnexpectedEOF {
		return nil
	}
	return p.buf[:n]
}

func (p *procReader) path(pid uint32, name string) string {
	return filepath.Join(p.root, strconv.FormatUint(uint64(pid), 10), name)
}

// parseStartTicks returns field 22 of /proc/PID/stat, 0 if it is not there. The
// second field is the command in parentheses and may contain anything.
func parseStartTicks(stat []byte) uint64 {
	const fieldsAfterComm = 20 // state is field 3
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < fieldsAfterComm {
		return 0
	}
	ticks, err := strconv.ParseUint(string(fields[fieldsAfterComm-1]), 10, 64)
	if err != nil {
		return 0
	}
	return ticks
}

// parseArgs splits /proc/PID/cmdline. An argument cut off by the read limit is
// dropped, as half a path would be a wrong name.
func parseArgs(cmdline []byte) []string {
	if len(cmdline) >= maxFileBytes {
		cmdline = cmdline[:bytes.LastIndexByte(cmdline, 0)+1]
	}
	cmdline = bytes.TrimRight(cmdline, "\x00")
	if len(cmdline) == 0 {
		return nil
	}
	var args []string
	for arg := range bytes.SplitSeq(cmdline, []byte{0}) {
		args = append(args, string(arg))
	}
	return args
}

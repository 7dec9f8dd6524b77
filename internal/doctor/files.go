// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"probe/internal/privilege"
)

// maxFile bounds what is read of any file.
const maxFile = 64 << 10

// host is where the checks look.
type host struct{ Options }

func (h host) proc(path ...string) string { return filepath.Join(append([]string{h.Proc}, path...)...) }
func (h host) sys(path ...string) string  { return filepath.Join(append([]string{h.Sys}, path...)...) }

// read returns the trimmed text of a small file.
func read(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	text := make([]byte, maxFile)
	n, err := file.Read(text)
	if n > 0 {
		err = nil
	}
	return strings.TrimSpace(string(text[:n])), err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// release is that of the running kernel.
func (h host) release() string {
	if text, err := read(h.proc("sys/kernel/osrelease")); err == nil {
		return text
	}
	var uts unix.Utsname
	if unix.Uname(&uts) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(uts.Release[:])
}

// olderThan compares a release like 6.1.0-13-amd64; one it cannot read is not
// called old: load is the proof.
func olderThan(release string, major, minor int) bool {
	var x, y int
	if n, _ := fmt.Sscanf(release, "%d.%d", &x, &y); n != 2 {
		return false
	}
	return x < major || x == major && y < minor
}

// process is what the kernel says of this one.
type process struct {
	effective, bounding privilege.Set
	seccomp             string // the mode, "2" with a filter
	memlock             string // soft limit
}

func (h host) self() process {
	text, _ := read(h.proc("self/status"))
	limits, _ := read(h.proc("self/limits"))
	return parseProcess(text, limits)
}

func parseProcess(status, limits string) process {
	var p process
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		switch key {
		case "CapEff":
			p.effective = parseSet(fields[0])
		case "CapBnd":
			p.bounding = parseSet(fields[0])
		case "Seccomp":
			p.seccomp = fields[0]
		}
	}
	for line := range strings.Lines(limits) {
		if rest, ok := strings.CutPrefix(line, "Max locked memory"); ok {
			if fields := strings.Fields(rest); len(fields) > 0 {
				p.memlock = fields[0]
			}
		}
	}
	return p
}

func parseSet(hex string) privilege.Set {
	n, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		return 0
	}
	return privilege.Set(n)
}

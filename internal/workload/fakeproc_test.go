// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fakeProcess is one directory of a fake /proc.
type fakeProcess struct {
	pid    uint32
	start  uint64
	exe    string // empty: the link cannot be read
	args   []string
	cgroup string
}

type fakeProc struct {
	t    testing.TB
	root string
}

func newFakeProc(t testing.TB) fakeProc {
	t.Helper()
	return fakeProc{t: t, root: t.TempDir()}
}

// start writes p, in place of what had its pid before.
func (f fakeProc) start(p fakeProcess) {
	f.t.Helper()
	f.kill(p.pid)
	dir := f.dir(p.pid)
	f.must(os.MkdirAll(dir, 0o755))
	stat := fmt.Sprintf("%d (odd) name) S 1 1 1 0 -1 4194560 1 0 0 0 2 3 0 0 20 0 1 0 %d 1 2 3\n", p.pid, p.start)
	f.must(os.WriteFile(filepath.Join(dir, "stat"), []byte(stat), 0o644))
	f.must(os.WriteFile(filepath.Join(dir, "cgroup"), []byte(p.cgroup), 0o644))
	cmdline := ""
	if len(p.args) > 0 {
		cmdline = strings.Join(p.args, "\x00") + "\x00"
	}
	f.must(os.WriteFile(filepath.Join(dir, "cmdline"), []byte(cmdline), 0o644))
	if p.exe != "" {
		f.must(os.Symlink(p.exe, filepath.Join(dir, "exe")))
	}
}

func (f fakeProc) kill(pid uint32) {
	f.t.Helper()
	f.must(os.RemoveAll(f.dir(pid)))
}

func (f fakeProc) dir(pid uint32) string {
	return filepath.Join(f.root, strconv.Itoa(int(pid)))
}

func (f fakeProc) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// at is a time of the tests' clock.
func at(d time.Duration) uint64 { return uint64(time.Hour + d) }

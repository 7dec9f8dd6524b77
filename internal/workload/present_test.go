// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestAbsent(t *testing.T) {
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	self, name := uint32(os.Getpid()), strings.TrimSpace(string(comm))
	tids, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	var thread uint32 // one that does not lead
	for _, e := range tids {
		if tid, err := strconv.Atoi(e.Name()); err == nil && tid != unix.Getpid() {
			thread = uint32(tid)
		}
	}
	pids, comms := Absent("", []uint32{self, 1 << 22, thread}, []string{name, "nobody's name", name})
	if diff := cmp.Diff([]uint32{1 << 22, thread}, pids); diff != "" {
		t.Errorf("pids: %s", diff)
	}
	if diff := cmp.Diff([]string{"nobody's name"}, comms); diff != "" {
		t.Errorf("comms: %s", diff)
	}
	hidden := t.TempDir()
	if err := os.Symlink("/proc/self", filepath.Join(hidden, strconv.Itoa(int(self)))); err != nil {
		t.Fatal(err)
	}
	if Hidden("") || !Hidden(hidden) {
		t.Errorf("processes are hidden: here %v, there %v; want false and true", Hidden(""), Hidden(hidden))
	}
	if pids, comms := Absent(hidden, []uint32{4}, []string{"init"}); pids != nil || comms != nil {
		t.Errorf("where processes are hidden: %v and %v are absent, want silence", pids, comms)
	}
}

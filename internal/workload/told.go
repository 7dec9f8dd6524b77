// SPDX-License-Identifier: Apache-2.0

package workload

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// toldGroups finds control groups of version 2 by the id that the kernel side
// tells: that of a process is known so when /proc has it no more. It is not where
// the group is gone as well, or without CAP_DAC_READ_SEARCH. It waits for nobody.
type toldGroups struct {
	sysRoot string
	pathOf  func(id uint64) string // "" is not known; tests have their own
	opened  bool
	mount   *os.File // nil: there is no such hierarchy
	root    string   // its path, as links to what is in it have it
	beside  bool     // there are hierarchies of version 1, too
}

// handleKernfs is the type of a file handle that is nothing but such an id
// (FILEID_KERNFS; since Linux 5.5).
const handleKernfs = 0xfe

func newToldGroups(sysRoot string) *toldGroups {
	t := &toldGroups{sysRoot: sysRoot}
	t.pathOf = t.find
	return t
}

// group returns what the path of a group says; zero: it is not known.
func (t *toldGroups) group(id uint64) group {
	if id == 0 {
		return group{}
	}
	path := t.pathOf(id)
	g := parsePath(path)
	if !t.beside { // else another hierarchy may share out CPU time
		g.path = shortened(undeleted(path))
	}
	return g
}

func (t *toldGroups) find(id uint64) string {
	if !t.open() {
		return ""
	}
	handle := unix.NewFileHandle(handleKernfs, binary.NativeEndian.AppendUint64(nil, id))
	fd, err := unix.OpenByHandleAt(int(t.mount.Fd()), handle, unix.O_PATH|unix.O_CLOEXEC)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	link, err := linkOf(uintptr(fd))
	path, within := strings.CutPrefix(link, t.root)
	if err != nil || !within { // the mount, of a container perhaps, shows another part only
		return ""
	}
	return cmp.Or(path, "/")
}

// open looks for the hierarchy, once.
func (t *toldGroups) open() bool {
	if t.opened {
		return t.mount != nil
	}
	t.opened = true
	for _, dir := range []string{".", "unified"} {
		f, err := os.Open(filepath.Join(t.sysRoot, "fs/cgroup", dir))
		if err != nil {
			continue
		}
		var fs unix.Statfs_t
		root, err := linkOf(f.Fd())
		if err == nil && unix.Fstatfs(int(f.Fd()), &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
			t.mount, t.root, t.beside = f, root, dir != "."
			return true
		}
		f.Close()
	}
	return false
}

func (t *toldGroups) close() {
	if t.mount != nil {
		t.mount.Close()
	}
	t.opened, t.mount = true, nil
}

func linkOf(fd uintptr) (string, error) { return os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)) }

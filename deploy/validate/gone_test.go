// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// unitGroup makes a control group of version 2 with the name of a unit.
func unitGroup(t *testing.T, unit string) *os.File {
	t.Helper()
	mount := t.TempDir()
	if err := syscall.Mount("none", mount, "cgroup2", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Unmount(mount, syscall.MNT_DETACH) })
	path := filepath.Join(mount, unit+".service")
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dir.Close()
		for range 100 { // the last process has ended, the kernel is about to notice
			if err := os.Remove(path); err == nil || errors.Is(err, os.ErrNotExist) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%s stays", path)
	})
	return dir
}

// Of processes that end at once, most before their files are read, the
// least-privilege pod knows the unit: its capabilities and its seccomp profile allow
// it to look for a control group by its id.
func TestGoneProcessesInContainer(t *testing.T) {
	const n = 50
	requireRoot(t, "make control groups")
	unit := fmt.Sprintf("probe-validate-%d", os.Getpid())
	group := unitGroup(t, unit)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "hello") }))
	defer server.Close()
	out, log, stop := startInContainer(t, "trace", "--role", "client", "--comm", "curl", "--json")
	script := exec.Command("sh", "-c", `i=0; while [ $i -lt "$2" ]; do curl -s -o /dev/null "$1" || exit 1; i=$((i+1)); done`, "sh", server.URL, strconv.Itoa(n))
	script.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	if text, err := script.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, text)
	}
	time.Sleep(300 * time.Millisecond)
	stop()
	services := map[string]int{}
	for line := range strings.Lines(out.String()) {
		var l struct{ Service string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		services[l.Service]++
	}
	if services[unit] != n || len(services) != 1 {
		t.Errorf("requests by service %v, want %d of %s\n%s", services, n, unit, log.String())
	}
}

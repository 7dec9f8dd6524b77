// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// exitLeak is the exit code of a test binary whose tests passed but which left
// file descriptors or goroutines behind.
const exitLeak = 99

// settleTime is how long resources may take to go after a test: goroutines that
// were told to stop, connections being closed by the runtime.
const settleTime = time.Second

// Main runs the tests of a package and fails the run if they leave file
// descriptors or goroutines behind. Use it as
//
//	func TestMain(m *testing.M) { testutil.Main(m) }
func Main(m *testing.M) {
	before, err := openFDs()
	code := m.Run()
	if code == 0 && err == nil {
		err = goleak.Find()
	}
	if code == 0 && err == nil {
		err = leakedSince(before)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "leak check:", err)
		code = max(code, exitLeak)
	}
	os.Exit(code)
}

// CheckFDs fails the test if, when it ends, the process has file descriptors it
// does not have now. Not for tests that run in parallel with others.
func CheckFDs(t testing.TB) {
	t.Helper()
	before, err := openFDs()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		t.Helper()
		if err := leakedSince(before); err != nil {
			t.Error(err)
		}
	})
}

// leakedSince waits for new file descriptors to go and reports those that stay.
func leakedSince(before map[string]string) error {
	deadline := time.Now().Add(settleTime)
	for {
		now, err := openFDs()
		if err != nil {
			return err
		}
		leaked := newFDs(before, now)
		if len(leaked) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("leaked file descriptors: %s", strings.Join(leaked, ", "))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// newFDs returns "number → target" for what is in now but not in before. A
// number reused for another file is a leak as well.
func newFDs(before, now map[string]string) []string {
	var leaked []string
	for _, fd := range slices.Sorted(maps.Keys(now)) {
		target := now[fd]
		if before[fd] != target && !ownedByRuntime(target) {
			leaked = append(leaked, fd+" → "+target)
		}
	}
	return leaked
}

// ownedByRuntime recognises the poller, which Go opens at the first use of the
// network and never closes.
func ownedByRuntime(target string) bool {
	return target == "anon_inode:[eventpoll]" || target == "anon_inode:[eventfd]"
}

// openFDs maps the number of every open file descriptor to its target.
func openFDs() (map[string]string, error) {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list file descriptors: %w", err)
	}
	fds := make(map[string]string, len(entries))
	for _, entry := range entries {
		// The descriptor of the listing itself is closed by now.
		if target, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil {
			fds[entry.Name()] = target
		}
	}
	return fds, nil
}

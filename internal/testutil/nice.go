// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"errors"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// NormalNice gives this process the nice value 0 until the end of the test, whatever
// it was started with: what a test starts inherits it, and an agent leaves one that
// somebody has chosen alone.
func NormalNice(t testing.TB) {
	t.Helper()
	// The raw call returns 20 less the nice value.
	kernel, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	before := 20 - kernel
	if before == 0 {
		return
	}
	set := func(nice int) {
		if err := setAllNice(nice); err != nil {
			t.Fatal(err)
		}
	}
	set(0)
	t.Cleanup(func() { set(before) })
}

// setAllNice looks again until there is no thread that a thread not yet seen has made.
func setAllNice(nice int) error {
	done := map[int]bool{}
	for more := true; more; {
		more = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, thread := range threads {
			tid, err := strconv.Atoi(thread.Name())
			if err != nil || done[tid] {
				continue
			}
			if err := unix.Setpriority(unix.PRIO_PROCESS, tid, nice); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
			done[tid], more = true, true
		}
	}
	return nil
}

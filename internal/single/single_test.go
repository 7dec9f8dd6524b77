// SPDX-License-Identifier: Apache-2.0

package single_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"probe/internal/single"
	"probe/internal/testutil"
)

const holderEnv = "PROBE_SINGLE_TEST_HOLDER"

// As a child, this binary takes a lock, says so, and waits to be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv(holderEnv); dir != "" {
		_, _, err := single.Acquire(dir, "udp://a:1")
		fmt.Println(err)
		os.Stdin.Read(make([]byte, 1))
		os.Exit(0)
	}
	testutil.Main(m)
}

// place is a directory like /run/probe before anybody used it.
func place(t *testing.T) string { return filepath.Join(t.TempDir(), "probe") }

func TestOneHolderPerKey(t *testing.T) {
	testutil.CheckFDs(t)
	dir := place(t)
	first, _, err := single.Acquire(dir, "udp://a:1")
	if err != nil {
		t.Fatal(err)
	}
	_, holder, err := single.Acquire(dir, "udp://a:1")
	want := single.Holder{PID: os.Getpid(), Key: "udp://a:1"}
	if !errors.Is(err, single.ErrHeld) || holder != want {
		t.Errorf("second: %+v, %v; want %+v and ErrHeld", holder, err, want)
	}
	other, _, err := single.Acquire(dir, "udp://b:1")
	if err != nil {
		t.Fatalf("another key: %v", err)
	}
	if all, err := single.Holders(dir); err != nil || len(all) != 2 {
		t.Errorf("holders %v, %v; want two", all, err)
	}
	if err := errors.Join(first.Release(), other.Release()); err != nil {
		t.Fatal(err)
	}
	if all, err := single.Holders(dir); err != nil || len(all) != 0 {
		t.Errorf("holders after the end: %v, %v", all, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 0 {
		t.Errorf("files after the end: %v, %v", left, err)
	}
}

// A holder that is killed holds nothing any more, though its file is left.
func TestKilledHolder(t *testing.T) {
	dir := place(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), holderEnv+"="+dir)
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "<nil>" {
		t.Fatalf("child: %q", lines.Text())
	}
	want := []single.Holder{{PID: child.Process.Pid, Key: "udp://a:1"}}
	got, err := single.Holders(dir)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("holders (-want +got), %v:\n%s", err, diff)
	}
	if _, _, err := single.Acquire(dir, "udp://a:1"); !errors.Is(err, single.ErrHeld) {
		t.Errorf("while it lives: %v, want ErrHeld", err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	lock, _, err := single.Acquire(dir, "udp://a:1")
	if err != nil {
		t.Fatalf("after its end: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}

// Many that come and go at the same time: never two at once.
func TestNeverTwo(t *testing.T) {
	dir := place(t)
	var wait sync.WaitGroup
	var inside, taken int
	var mu sync.Mutex
	for range 8 {
		wait.Go(func() {
			for range 200 {
				lock, _, err := single.Acquire(dir, "k")
				if err != nil {
					continue
				}
				mu.Lock()
				inside++
				taken++
				if inside != 1 {
					t.Errorf("%d hold the lock", inside)
				}
				inside--
				mu.Unlock()
				if err := lock.Release(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if taken == 0 {
		t.Error("nobody ever had it")
	}
}

// A directory of another user's agent, as one without privileges finds it.
func TestDirectoryOfAnotherUser(t *testing.T) {
	testutil.RequireRoot(t, "become nobody")
	dir := place(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		if _, _, err := single.Acquire(dir, "k"); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%v, want permission denied", err)
		}
		refused(t, single.Check(dir), "permission denied", "run as root")
	})
	if err := single.Check(dir); err != nil {
		t.Errorf("for root: %v", err)
	}
}

// asNobody runs f in a thread of another user, which may search directories as
// the systemd service does.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // the thread ends with the goroutine
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		search := unix.CapUserData{Effective: 1 << unix.CAP_DAC_READ_SEARCH, Permitted: 1 << unix.CAP_DAC_READ_SEARCH}
		data := [2]unix.CapUserData{search, {}}
		_, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0)
		if errno == 0 {
			_, _, errno = unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534)
		}
		if errno != 0 {
			t.Error(errno)
			return
		}
		if err := unix.Capset(&header, &data[0]); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// refused checks that an error says why, and what to do.
func refused(t *testing.T, err error, why, remedy string) {
	t.Helper()
	r, is := errors.AsType[*single.Refusal](err)
	if !is || !strings.Contains(r.Why, why) || !strings.Contains(r.Remedy, remedy) {
		t.Errorf("%v, want a refusal with %q and %q", err, why, remedy)
	}
}

// A directory in which any user could lock is closed, or not trusted.
func TestOpenDirectory(t *testing.T) {
	dir := place(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, _, err := single.Acquire(dir, "k")
	if err != nil {
		t.Fatal(err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("our own directory: %v, %v; want it closed", info.Mode(), err)
	}
	if os.Geteuid() == 0 {
		if err := errors.Join(os.Chmod(dir, 0o777), os.Chown(dir, 65534, 65534)); err != nil {
			t.Fatal(err)
		}
		_, _, err := single.Acquire(dir, "k")
		refused(t, err, "open to other users", "chmod 700")
		refused(t, single.Check(dir), "open to other users", "chmod 700")
	}
}

// What is no directory is told as that, by Check and Acquire alike: systemd
// makes a link of RuntimeDirectory= for DynamicUser= unless it is told not to.
func TestNoDirectory(t *testing.T) {
	above := t.TempDir()
	link, file, missing := filepath.Join(above, "link"), filepath.Join(above, "file"), filepath.Join(above, "a", "b")
	if err := errors.Join(os.Symlink(above, link), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string][2]string{link: {"symbolic link", "RuntimeDirectoryPreserve=no"}, file: {"not a directory", "rm "}} {
		_, _, err := single.Acquire(path, "k")
		refused(t, err, want[0], want[1])
		err = single.Check(path)
		refused(t, err, want[0], want[1])
		if strings.Contains(err.Error(), "chmod") {
			t.Errorf("%s: %v: chmod does not help", path, err)
		}
	}
	if err := single.Check(missing); err != nil {
		t.Errorf("one that can be made: %v", err)
	}
	if _, err := os.Lstat(filepath.Dir(missing)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Check made something: %v", err)
	}
}

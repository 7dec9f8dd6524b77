// SPDX-License-Identifier: Apache-2.0

package single_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

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
		if _, _, err := single.Acquire(dir, "k"); err == nil || errors.Is(err, single.ErrHeld) {
			t.Errorf("another user's: %v, want a refusal", err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if _, _, err := single.Acquire(link, "k"); err == nil {
		t.Error("a symbolic link was accepted")
	}
}

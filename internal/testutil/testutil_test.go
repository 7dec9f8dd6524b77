// SPDX-License-Identifier: Apache-2.0

package testutil

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { Main(m) }

// recorder stands in for the test that a helper is called from.
type recorder struct {
	testing.TB
	skipped, fatal, errs []string
	cleanups             []func()
}

func (r *recorder) Helper()                   {}
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Skip(args ...any)          { r.skipped = append(r.skipped, fmt.Sprint(args...)) }
func (r *recorder) Error(args ...any)         { r.errs = append(r.errs, fmt.Sprint(args...)) }
func (r *recorder) Fatal(args ...any)         { r.fatal = append(r.fatal, fmt.Sprint(args...)) }
func (r *recorder) Errorf(f string, a ...any) { r.Error(fmt.Sprintf(f, a...)) }
func (r *recorder) Fatalf(f string, a ...any) { r.Fatal(fmt.Sprintf(f, a...)) }

func TestJudge(t *testing.T) {
	denied := errors.New("not permitted")
	tests := []struct {
		name               string
		machine            machine
		minKernel          string
		required           bool
		wantSkip, wantFail string
	}{
		{name: "runs", machine: machine{release: "6.18.44-x"}, minKernel: "5.14"},
		{name: "runs when required", machine: machine{release: "6.18.44-x"}, minKernel: "5.14", required: true},
		{name: "exactly new enough", machine: machine{release: "5.14.0"}, minKernel: "5.14"},
		{name: "old kernel", machine: machine{release: "5.4.0-1"}, minKernel: "5.14", wantSkip: "ring needs kernel 5.14, this is 5.4.0-1"},
		{name: "old major", machine: machine{release: "4.19.0"}, minKernel: "5.8", wantSkip: "ring needs kernel 5.8"},
		{name: "two-digit minor", machine: machine{release: "6.9.0"}, minKernel: "6.12", wantSkip: "needs kernel 6.12"},
		{name: "not permitted", machine: machine{release: "6.1.0", bpf: denied}, minKernel: "5.8", wantSkip: "ring needs BPF: not permitted"},
		{name: "required but old", machine: machine{release: "5.4.0"}, minKernel: "5.8", required: true, wantFail: "forbids to skip"},
		{name: "required but denied", machine: machine{release: "6.1.0", bpf: denied}, minKernel: "5.8", required: true, wantFail: "not permitted"},
		{name: "nonsense minimum", machine: machine{release: "6.1.0"}, minKernel: "six", wantFail: `parse kernel version "six"`},
		{name: "nonsense release", machine: machine{release: "6."}, minKernel: "6.1", wantFail: `parse kernel version "6."`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &recorder{}
			t.Setenv(requireEnv, map[bool]string{true: "1"}[tt.required])
			judge(r, tt.machine, tt.minKernel, "ring")
			expectMessage(t, "skip", r.skipped, tt.wantSkip)
			expectMessage(t, "failure", r.fatal, tt.wantFail)
		})
	}
}

// expectMessage checks that there is one message with want in it, or none if
// want is empty.
func expectMessage(t *testing.T, kind string, got []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("unexpected %s: %q", kind, got)
	case want != "" && (len(got) != 1 || !strings.Contains(got[0], want)):
		t.Errorf("%s = %q, want one with %q", kind, got, want)
	}
}

func TestRequireBPFSeesThisMachine(t *testing.T) {
	release, err := kernelRelease()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseVersion(release); err != nil {
		t.Error(err)
	}
	r := &recorder{}
	t.Setenv(requireEnv, "1")
	RequireBPF(r, "999.0", "the future")
	expectMessage(t, "failure", r.fatal, "needs kernel 999.0")
	t.Setenv(requireEnv, "")
	r = &recorder{}
	RequireBPF(r, "999.0", "the future")
	expectMessage(t, "skip", r.skipped, "needs kernel 999.0")
}

func TestRequireRoot(t *testing.T) {
	for _, tt := range []struct {
		uid                int
		required           string
		wantSkip, wantFail string
	}{
		{0, "", "", ""},
		{0, "1", "", ""},
		{1000, "", "needs root to mount", ""},
		{1000, "1", "", "needs root to mount (PROBE_REQUIRE_BPF=1 forbids to skip)"},
	} {
		t.Setenv(requireEnv, tt.required)
		r := &recorder{}
		requireRoot(r, tt.uid, "mount")
		expectMessage(t, "skip", r.skipped, tt.wantSkip)
		expectMessage(t, "failure", r.fatal, tt.wantFail)
	}
}

func TestCheckFDs(t *testing.T) {
	r := &recorder{}
	CheckFDs(r)
	path := filepath.Join(t.TempDir(), "left-open")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	r.cleanups[0]()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	expectMessage(t, "error", r.errs, "left-open")

	r = &recorder{}
	CheckFDs(r)
	r.cleanups[0]()
	expectMessage(t, "error", r.errs, "")
}

func TestNewFDs(t *testing.T) {
	before := map[string]string{"0": "/dev/null", "5": "socket:[1]"}
	now := map[string]string{"0": "/dev/null", "5": "socket:[2]", "6": "anon_inode:bpf-map", "7": "anon_inode:[eventpoll]"}
	got := strings.Join(newFDs(before, now), "; ")
	if want := "5 → socket:[2]; 6 → anon_inode:bpf-map"; got != want {
		t.Errorf("newFDs() = %q, want %q", got, want)
	}
}

func TestGolden(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv(updateEnv, "")
	r := &recorder{}
	Golden(r, "sub/a.txt", []byte("one\n"))
	if len(r.fatal) != 1 {
		t.Errorf("missing file: failures %q, want one", r.fatal)
	}
	t.Setenv(updateEnv, "1")
	Golden(t, "sub/a.txt", []byte("one\n"))
	t.Setenv(updateEnv, "")
	Golden(t, "sub/a.txt", []byte("one\n"))
	r = &recorder{}
	Golden(r, "sub/a.txt", []byte("two\n"))
	expectMessage(t, "error", r.errs, "+")
}

// A test that was started with a nice value has the usual one, and gives it back.
func TestNormalNice(t *testing.T) {
	RequireRoot(t, "come back from a higher nice value")
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	nice := func() int {
		kernel, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
		if err != nil {
			t.Fatal(err)
		}
		return 20 - kernel
	}
	before := nice()
	chosen := before + 3
	if err := setAllNice(chosen); err != nil {
		t.Fatal(err)
	}
	r := &recorder{TB: t}
	NormalNice(r)
	if got := nice(); got != 0 {
		t.Errorf("nice value %d, want 0", got)
	}
	for _, restore := range r.cleanups {
		restore()
	}
	if got := nice(); got != chosen {
		t.Errorf("nice value %d after the test, want %d", got, chosen)
	}
	if err := setAllNice(before); err != nil {
		t.Fatal(err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package privilege_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"probe/internal/privilege"
)

const dropEnv = "PROBE_PRIVILEGE_TEST_DROP"

// As a child, this binary drops everything and says what it has then. With the C
// library it cannot; the static program is tested with the command line.
func TestMain(m *testing.M) {
	if os.Getenv(dropEnv) == "" {
		os.Exit(m.Run())
	}
	_, err := privilege.Drop(privilege.Of(privilege.SysPtrace))
	text, readErr := os.ReadFile("/proc/self/status")
	os.Stdout.Write(text)
	switch {
	case errors.Is(err, privilege.ErrCgo):
		os.Exit(3)
	case err != nil || readErr != nil:
		os.Stderr.WriteString(errors.Join(err, readErr).Error())
		os.Exit(1)
	}
	os.Exit(0)
}

func TestSet(t *testing.T) {
	s := privilege.Of(privilege.BPF, privilege.DACReadSearch)
	if !s.Has(privilege.BPF) || s.Has(privilege.SysAdmin) || s != 1<<unix.CAP_BPF|1<<unix.CAP_DAC_READ_SEARCH {
		t.Errorf("set %b", s)
	}
	for set, want := range map[privilege.Set]string{
		0: "none", s: "CAP_DAC_READ_SEARCH,CAP_BPF", privilege.Of(unix.CAP_KILL): "capability 5",
	} {
		if got := set.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Either everything else is gone for ever, or the error says why it is not.
func TestDrop(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), dropEnv+"=1")
	out, err := child.Output()
	exit, failed := errors.AsType[*exec.ExitError](err)
	switch {
	case failed && exit.ExitCode() == 3: // built with the C library: nothing has changed
		if os.Geteuid() == 0 && strings.Contains(string(out), "CapEff:\t0000000000080000\n") {
			t.Error("an error, but capabilities are gone")
		}
		return
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	}
	want := "CapEff:\t0000000000000000\n"
	if os.Geteuid() == 0 {
		want = "CapEff:\t0000000000080000\n"
	}
	if !strings.Contains(string(out), want) || !strings.Contains(string(out), "NoNewPrivs:\t1\n") {
		t.Errorf("want %q and NoNewPrivs in\n%s", want, out)
	}
}

// What is left out is back afterwards.
func TestWithout(t *testing.T) {
	before, err := privilege.Effective()
	if err != nil {
		t.Fatal(err)
	}
	out := privilege.Of(privilege.DACOverride, privilege.BPF)
	during, after := before, before
	err = privilege.Without(out, func() { during, _ = privilege.Effective() })
	if err == nil {
		after, err = privilege.Effective()
	}
	if err != nil || during != before&^out || after != before {
		t.Errorf("before %v, during %v, after %v, %v", before, during, after, err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"probe": func() { dropPrivileges(); main() },
	})
}

// nobody is a user and a group without privileges on every Linux.
const nobody = 65534

// dropPrivileges makes this process one of nobody's, if it is root's: what a
// script gets past the command line must not begin to observe the host.
func dropPrivileges() {
	if os.Geteuid() != 0 {
		return
	}
	for _, err := range []error{syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)} {
		if err != nil {
			fmt.Fprintln(os.Stderr, "drop privileges:", err)
			os.Exit(99)
		}
	}
}

// The command line, as its users see it. What needs the kernel is elsewhere.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               cleanEnvironment,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"one-line": oneErrorLine,
		},
	})
}

// cleanEnvironment keeps what the tests run under from choosing their outcome.
func cleanEnvironment(env *testscript.Env) error {
	kept := env.Vars[:0]
	for _, v := range env.Vars {
		if !strings.HasPrefix(v, envPrefix) && !strings.HasPrefix(v, "STATSD_") && !strings.HasPrefix(v, "DD_") {
			kept = append(kept, v)
		}
	}
	env.Vars = append(kept, "two_lines=a\nb")
	return nil
}

// exits runs a command and checks its exit code: exits CODE COMMAND ARGS.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if err != nil {
		if _, err := fmt.Sscanf(err.Error(), "exit status %d", &got); err != nil {
			ts.Fatalf("%v", err)
		}
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// oneErrorLine checks that the last command said nothing but one line on stderr
// that begins with "probe: ".
func oneErrorLine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: one-line")
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("stdout: %q", out)
	}
	text := ts.ReadFile("stderr")
	line, rest, ended := strings.Cut(text, "\n")
	if !ended || rest != "" || !strings.HasPrefix(line, "probe: ") || strings.TrimSpace(line) != line {
		ts.Fatalf("stderr is not one line that begins with \"probe: \": %q", text)
	}
	if strings.Contains(line, "bad usage") || strings.Count(line, "probe:") != 1 {
		ts.Fatalf("stderr says more than is needed: %q", text)
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"probe/scripts/kernels/result"
)

// First kernels that have something, as major*100+minor.
const (
	socketSince  = 603 // sock_send_length, sock_recv_length
	threadsSince = 513 // task storage in tracing programs
	kfuncSince   = 602 // bpf_task_from_pid
	preemptSince = 700 // programs on tracepoints can be preempted
)

// judge says what a kernel did that it must not do. A kernel may lack what came
// later, but then probe must do without it and say so.
func judge(g guest) []error {
	version, err := versionOf(g.release)
	if err != nil {
		return []error{err}
	}
	var problems []error
	for _, c := range g.checks {
		for _, p := range judgeCheck(c, version) {
			problems = append(problems, fmt.Errorf("%s, %s --source %s --detail %s: %s", g.release, c.Kind, c.Source, c.Detail, p))
		}
	}
	return problems
}

func judgeCheck(c result.Check, version int) []string {
	if c.Unsupported && c.Source == "socket" && version < socketSince {
		return nil
	}
	if inexact(c) && version >= preemptSince {
		return nil // probe has said so itself; the report shows it
	}
	if len(c.Problems) > 0 || c.Unsupported {
		return append(c.Problems, "failed")
	}
	var problems []string
	wantDetail := c.Detail
	if version < threadsSince {
		wantDetail = "off"
	}
	lacks := c.Detail != "off" && version < kfuncSince
	if lacks != (len(c.Missing) > 0) {
		problems = append(problems, fmt.Sprintf("says that this is missing: %q", c.Missing))
	}
	switch c.Kind {
	case result.KindLoad:
		if c.Got != wantDetail {
			problems = append(problems, fmt.Sprintf("detail %s, want %s", c.Got, wantDetail))
		}
		if c.UserMemory != "" {
			problems = append(problems, "reads user memory: "+c.UserMemory)
		}
		for _, p := range c.Programs {
			if p.Instructions == 0 {
				problems = append(problems, "no statistics of "+p.Name)
			}
		}
	default:
		if c.Requests == 0 {
			problems = append(problems, "no requests were sent")
		}
		if len(c.Missing) > 1 {
			problems = append(problems, fmt.Sprintf("%d warnings, want one: %q", len(c.Missing), c.Missing))
		}
		if measured := c.Timed == c.Requests-c.Untold; c.Kind == result.KindTrace && measured != (wantDetail != "off") {
			problems = append(problems, fmt.Sprintf("%d of %d requests have parts of time with detail %s", c.Timed, c.Requests, wantDetail))
		}
	}
	return problems
}

// inexact: the kernel left programs out, and probe counted how often.
func inexact(c result.Check) bool { return len(c.Problems) > 0 && c.Missed > 0 && c.Requests > 0 }

// versionOf "6.12.117+deb13-cloud-amd64" is 612.
func versionOf(release string) (int, error) {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil || minor > 99 {
		return 0, fmt.Errorf("unknown kernel release %q", release)
	}
	return major*100 + minor, nil
}

// series of "6.12.117+deb13-cloud-amd64" is 6.12.
func series(release string) string {
	parts := strings.SplitN(release, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

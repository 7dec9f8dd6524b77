// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// traced is what is looked at of a line of probe trace --json.
type traced struct {
	exchange
	Role        string `json:"role"`
	Comm        string `json:"comm"`
	Outcome     string `json:"outcome"`
	DurationNS  int64  `json:"duration_ns"`
	TTFBNS      int64  `json:"ttfb_ns"`
	Attribution string `json:"attribution"`
	Wait        struct {
		AcceptNS       *int64           `json:"accept_ns"`
		SocketNS       int64            `json:"socket_ns"`
		CPU            int64            `json:"cpu_ns"`
		RunQueue       int64            `json:"runq_ns"`
		Throttled      int64            `json:"throttled_ns"`
		Memory         int64            `json:"memory_ns"`
		Blocked        map[string]int64 `json:"blocked"`
		UnattributedNS int64            `json:"unattributed_ns"`
	} `json:"wait"`
	Flags []string `json:"flags"`
}

// readTrace returns the exchanges in the output of probe trace, how many of them
// have parts of time, and what is wrong with any line by itself. If calls were left
// out, a response may be told without its request, and so marked.
func readTrace(output string, leftOut bool) (all []exchange, timed int, problems []string) {
	for line := range strings.Lines(output) {
		var l traced
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			problems = append(problems, fmt.Sprintf("unreadable line %q: %v", line, err))
			continue
		}
		if leftOut && slices.Contains(l.Flags, "no_request") {
			continue
		}
		all = append(all, l.exchange)
		if l.Attribution != "" {
			timed++
		}
		if p := l.problem(); p != "" {
			problems = append(problems, p+": "+strings.TrimSpace(line))
		}
	}
	return all, timed, problems
}

// problem says what cannot be right, or "".
func (l *traced) problem() string {
	outcome := "ok"
	if l.Status >= 500 {
		outcome = "error"
	}
	switch {
	case l.Role != "server" || l.Outcome != outcome:
		return "role or outcome"
	case l.DurationNS <= 0 || l.TTFBNS <= 0 || l.TTFBNS > l.DurationNS:
		return "duration"
	case l.Wait.AcceptNS == nil:
		return "no wait"
	case len(l.Flags) > 0 && !slices.Equal(l.Flags, []string{"time_uncertain"}): // it waited for long
		return "flags"
	case l.Attribution != "" && l.parts() != l.DurationNS:
		return fmt.Sprintf("parts add up to %d", l.parts())
	}
	return ""
}

func (l *traced) parts() int64 {
	w := &l.Wait
	sum := *w.AcceptNS + w.SocketNS + w.CPU + w.RunQueue + w.Throttled + w.Memory + w.UnattributedNS
	for _, ns := range w.Blocked {
		sum += ns
	}
	return sum
}

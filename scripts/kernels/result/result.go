// SPDX-License-Identifier: Apache-2.0

// Package result is what a guest tells the host: JSON objects, one per line, on
// the serial console that the kernel also writes to.
package result

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// prefix begins the lines that are ours.
const prefix = "@kernels "

// OnlyEnv on the kernel's command line is a kind: try no more than that.
const OnlyEnv = "KERNELS_ONLY"

// Line is one of these; the last line of a guest that came to its end has End.
type Line struct {
	// Release and Machine are those of uname.
	Release string `json:"release,omitempty"`
	Machine string `json:"machine,omitempty"`
	Check   *Check `json:"check,omitempty"`
	End     bool   `json:"end,omitempty"`
}

// Kinds of checks.
const (
	KindLoad  = "load"  // load, attach, use, detach, close
	KindTrace = "trace" // probe trace against a server and a client
	KindRun   = "run"   // probe run as it is started without flags
)

// Check is one thing that was tried.
type Check struct {
	Kind   string `json:"kind"`
	Source string `json:"source"`
	Detail string `json:"detail"` // asked for
	// Got is the detail that the loader came down to, Missing what it named.
	Got     string   `json:"got,omitempty"`
	Missing []string `json:"missing,omitempty"`
	// UserMemory is why messages are not read from what the sockets hold, on amd64
	// with the socket source.
	UserMemory string `json:"user_memory,omitempty"`
	// Unsupported: the loader refused and said that the kernel lacks something.
	Unsupported bool `json:"unsupported,omitempty"`
	// Requests sent, and of these the ones with known parts of time.
	Requests int `json:"requests,omitempty"`
	Timed    int `json:"timed,omitempty"`
	// Missed is kernel.dropped.recursion: how often the kernel did not run a
	// program because a preempted task was in the middle of it.
	Missed int `json:"missed,omitempty"`
	// LeftOut is kernel.raced: calls that found another one on their connection, whose
	// CPU had been taken away. Untold are the requests that are missing for that.
	LeftOut int `json:"left_out,omitempty"`
	Untold  int `json:"untold,omitempty"`
	// Problems is what went wrong; empty is what it must be.
	Problems []string  `json:"problems,omitempty"`
	Programs []Program `json:"programs,omitempty"`
}

// Program is a loaded program and the instructions the verifier walked through.
type Program struct {
	Name         string `json:"name"`
	Instructions int    `json:"instructions"`
}

// Write prints one line.
func Write(w io.Writer, l Line) error {
	text, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode a result: %w", err)
	}
	_, err = fmt.Fprintf(w, "\n%s%s\n", prefix, text)
	return err
}

// Read finds the lines in the text of a console. A line that the kernel wrote
// into is an error: half a result is none.
func Read(console string) ([]Line, error) {
	var lines []Line
	for text := range strings.Lines(console) {
		_, text, found := strings.Cut(text, prefix)
		if !found {
			continue
		}
		var l Line
		if err := json.Unmarshal([]byte(strings.TrimSpace(text)), &l); err != nil {
			return nil, fmt.Errorf("unreadable result %.200q: %w", text, err)
		}
		lines = append(lines, l)
	}
	return lines, nil
}

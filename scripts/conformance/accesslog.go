// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// logLine is one line of a server's own access log. Byte counts are -1 where
// the server does not log them.
type logLine struct {
	method, target string
	status         int
	total          int64 // all bytes of the response
	body           int64 // its body
	received       int64 // all bytes of the request
}

// logPrefix begins every line in our own format, so that it is found among
// whatever else a server prints to the same stream:
//
//	conf|status|total|body|received|METHOD target HTTP/1.1
//
// Unknown numbers are "-" or empty.
const logPrefix = "conf|"

// parseLogLine reads a line in our own format; ok is false for any other line.
func parseLogLine(s string) (l logLine, ok bool) {
	at := strings.Index(s, logPrefix)
	if at < 0 {
		return l, false
	}
	f := strings.SplitN(s[at:], "|", 6)
	if len(f) != 6 {
		return l, false
	}
	status, err := strconv.Atoi(f[1])
	if err != nil {
		return l, false
	}
	l.status = status
	l.total, l.body, l.received = logNumber(f[2]), logNumber(f[3]), logNumber(f[4])
	l.method, l.target = splitRequestLine(strings.Trim(f[5], `"`))
	// Some servers log these instead of a request line they refused.
	return l, l.target != "" && l.method != "UNKNOWN"
}

func splitRequestLine(s string) (method, target string) {
	method, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	target, _, _ = strings.Cut(rest, " ")
	return method, target
}

func logNumber(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// readLog parses every line of a file with parse, which refuses foreign lines.
func readLog(path string, parse func(string) (logLine, bool)) ([]logLine, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // created with the first line
	}
	if err != nil {
		return nil, fmt.Errorf("open access log: %w", err)
	}
	defer f.Close()
	var lines []logLine
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if l, ok := parse(s.Text()); ok {
			lines = append(lines, l)
		}
	}
	return lines, s.Err()
}

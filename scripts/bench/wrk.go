// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// connections of every kind of load.
const connections = 16

// sample is what a load generator saw in one run.
type sample struct {
	perSecond float64
	p50, p99  time.Duration
	// part99 is the 99th percentile of partLength, median of all parts; 0: not known.
	part99 time.Duration
	// requests were answered.
	requests uint64
	// open requests at most were sent but not waited for, so that the server
	// may have seen so many more.
	open uint64
	// foreign is the part of one CPU that programs other than the bench's took.
	foreign float64
}

// fullLoad keeps all connections busy all the time. wrk takes whole seconds.
func fullLoad(ctx context.Context, url string, seconds int) (sample, error) {
	cmd := exec.CommandContext(ctx, "wrk", "-t1", fmt.Sprintf("-c%d", connections), fmt.Sprintf("-d%ds", seconds), "--latency", url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return sample{}, fmt.Errorf("run wrk: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return parseWrk(string(out))
}

var errWrkOutput = errors.New("output of wrk not understood")

// parseWrk reads what `wrk --latency` prints. Socket errors and answers other
// than 2xx make the run invalid.
func parseWrk(out string) (sample, error) {
	s := sample{open: connections}
	found := 0
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		var err error
		switch {
		case len(f) == 2 && f[0] == "50%":
			s.p50, err = time.ParseDuration(f[1])
		case len(f) == 2 && f[0] == "99%":
			s.p99, err = time.ParseDuration(f[1])
		case len(f) == 2 && f[0] == "Requests/sec:":
			s.perSecond, err = strconv.ParseFloat(f[1], 64)
		case len(f) >= 3 && f[1] == "requests" && f[2] == "in":
			s.requests, err = strconv.ParseUint(f[0], 10, 64)
		case strings.Contains(line, "Socket errors:"), strings.Contains(line, "Non-2xx"):
			return sample{}, fmt.Errorf("requests failed: %s", strings.TrimSpace(line))
		default:
			continue
		}
		if err != nil {
			return sample{}, fmt.Errorf("%w: %w: %s", errWrkOutput, err, strings.TrimSpace(line))
		}
		found++
	}
	if found != 4 || s.requests == 0 || s.perSecond <= 0 {
		return sample{}, fmt.Errorf("%w: %s", errWrkOutput, strings.TrimSpace(out))
	}
	return s, nil
}

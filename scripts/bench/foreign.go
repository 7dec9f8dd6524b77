// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// watched adds to a load what other programs took meanwhile.
func watched(load func() (sample, error)) func() (sample, error) {
	return func() (sample, error) {
		before, err := foreignTime(os.Getpid())
		if err != nil {
			return sample{}, err
		}
		begin := time.Now()
		s, err := load()
		if err != nil {
			return sample{}, err
		}
		after, err := foreignTime(os.Getpid())
		if err != nil {
			return sample{}, err
		}
		// A process that ended without being waited for takes its time along.
		s.foreign = max(0, (after-before).Seconds()/time.Since(begin).Seconds())
		return s, nil
	}
}

// foreignTime is the CPU time of all processes except self, its children and
// kernel threads, and of the children they waited for.
func foreignTime(self int) (time.Duration, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // ended meanwhile
		}
		p, err := parseStat(text)
		if err != nil {
			return 0, fmt.Errorf("read %s: %w", f, err)
		}
		if !p.kernel && p.pid != self && p.parent != self {
			sum += p.cpu
		}
	}
	return sum, nil
}

// processStat is the part of /proc/PID/stat that is used here.
type processStat struct {
	pid, parent int
	kernel      bool
	cpu         time.Duration // with children that were waited for
}

// parseStat reads /proc/PID/stat, see proc_pid_stat(5).
func parseStat(text []byte) (p processStat, err error) {
	const (
		tick          = 10 * time.Millisecond // USER_HZ is 100 on every architecture in use
		kernelThread  = 0x00200000            // PF_KTHREAD, linux/sched.h
		parent, flags = 1, 6                  // fields behind the command name
		utime, cstime = 11, 14
	)
	end := bytes.LastIndexByte(text, ')')
	id, _, _ := bytes.Cut(text, []byte{' '})
	if p.pid, err = strconv.Atoi(string(id)); err != nil || end < 0 {
		return processStat{}, errors.New("not in the format of /proc/PID/stat")
	}
	fields := strings.Fields(string(text[end+1:]))
	if len(fields) <= cstime {
		return processStat{}, errors.New("too few fields in /proc/PID/stat")
	}
	number := func(i int) uint64 {
		n, e := strconv.ParseUint(fields[i], 10, 64)
		err = errors.Join(err, e)
		return n
	}
	p.parent = int(number(parent))
	p.kernel = number(flags)&kernelThread != 0
	for i := utime; i <= cstime; i++ {
		p.cpu += time.Duration(number(i)) * tick
	}
	return p, err
}

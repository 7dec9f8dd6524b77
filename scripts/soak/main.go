// SPDX-License-Identifier: Apache-2.0

// Command soak lets probe run for long under mixed load, breaks what is around
// it, and gives it a host with very many connections and processes. It writes
// docs/reliability-soak.md. It needs root, nginx and node.
//
//	go run ./scripts/soak                 all of it, about 45 minutes
//	go run ./scripts/soak -duration 3m    a shorter soak
//	go run ./scripts/soak -only faults    soak, faults or scale
//	go run ./scripts/soak -only faults -clock-step
//
// Exit 1 says that something is not as it must be, and what.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"probe/scripts/process"
)

// settings are what the flags say.
type settings struct {
	probe    string // absolute path
	only     string
	duration time.Duration
	rate     float64
	// clockStep sets the clock of the host forward by an hour, for two seconds.
	clockStep bool
	out       string
	// small is for the tests: everything there is, but less of it.
	small bool
	dir   string // for temporary files
}

// Parts of the program, each a section of the report.
const (
	partSoak   = "soak"
	partFaults = "faults"
	partScale  = "scale"
)

func main() {
	asChild()
	s := settings{}
	flag.StringVar(&s.probe, "probe", filepath.Join("bin", "probe"), "the probe to try")
	flag.StringVar(&s.only, "only", "", "soak, faults or scale (default: all)")
	flag.DurationVar(&s.duration, "duration", 30*time.Minute, "length of the soak")
	flag.Float64Var(&s.rate, "rate", 1, "load of the soak, as a part of the usual one")
	flag.BoolVar(&s.clockStep, "clock-step", false, "with the faults: set the clock of this host forward by an hour for two seconds, and back")
	flag.StringVar(&s.out, "out", filepath.Join("docs", "reliability-soak.md"), "file whose sections are replaced; - for none")
	flag.Parse()
	if s.only != "" && !slices.Contains([]string{partSoak, partFaults, partScale}, s.only) {
		fmt.Fprintf(os.Stderr, "soak: -only %s: want soak, faults or scale\n", s.only)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, s))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run does the parts that are wanted and writes the report. It fails when a
// check does.
func run(ctx context.Context, s settings) (err error) {
	if s.probe, err = process.FindProbe(s.probe); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "soak"); err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	parts := []struct {
		name string
		run  func(context.Context, settings) (section, error)
	}{{partSoak, soak}, {partFaults, faults}, {partScale, scale}}
	var failed error
	for _, p := range parts {
		if s.only != "" && s.only != p.name {
			continue
		}
		one, err := p.run(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if err := one.write(s.out); err != nil {
			return err
		}
		fmt.Println(one.text)
		failed = errors.Join(failed, one.verdict())
	}
	return failed
}

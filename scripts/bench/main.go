// SPDX-License-Identifier: Apache-2.0

// Command bench measures what attached probes cost a busy server: nginx and a
// load generator share two CPUs, with and without the probe, in pairs. It
// writes docs/benchmarks.md. It needs root, nginx and wrk.
//
// Exit 1 says that something did not run, or that requests were lost or
// miscounted; how long anything took is never a failure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

type options struct {
	probe    string
	pairs    int
	seconds  int
	variants string
	quick    bool
	out      string
	budget   time.Duration
	others   float64
}

func main() {
	var o options
	flag.StringVar(&o.probe, "probe", filepath.Join("bin", "probe"), "the probe to measure")
	flag.IntVar(&o.pairs, "pairs", 9, "counted pairs of each variant and load")
	flag.IntVar(&o.seconds, "seconds", 2, "length of a run")
	flag.StringVar(&o.variants, "variants", "", "variants to measure, some of idle,off,server,detail,both,syscall (default: all)")
	flag.BoolVar(&o.quick, "quick", false, "3 pairs only, report to standard output")
	flag.StringVar(&o.out, "out", "", "where to write the report; - is standard output (default: docs/benchmarks.md)")
	flag.DurationVar(&o.budget, "budget", 11*time.Minute, "time for full and half load together, and half as much more for the rest; no round starts after it")
	flag.Float64Var(&o.others, "others", 0.10, "part of one CPU that other programs may take during a pair that counts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (o *options) complete() error {
	if o.quick {
		o.pairs = min(o.pairs, 3)
	}
	if o.out == "" {
		o.out = filepath.Join("docs", "benchmarks.md")
		if o.quick || o.variants != "" {
			o.out = "-"
		}
	}
	if o.pairs < 1 || o.seconds < 1 {
		return errors.New("pairs and seconds must be at least 1")
	}
	for _, tool := range []string{"nginx", "wrk"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed: see scripts/install-test-deps.sh", tool)
		}
	}
	return nil
}

// chosen returns the variants that the flag names.
func (o *options) chosen() ([]variant, error) {
	all := allVariants()
	if o.variants == "" {
		return all, nil
	}
	var chosen []variant
	for name := range strings.SplitSeq(o.variants, ",") {
		i := slices.IndexFunc(all, func(v variant) bool { return v.name == name })
		if i < 0 {
			return nil, fmt.Errorf("unknown variant %q", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func (o *options) run(ctx context.Context) error {
	if err := o.complete(); err != nil {
		return err
	}
	variants, err := o.chosen()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return fmt.Errorf("create work folder: %w", err)
	}
	defer os.RemoveAll(dir)
	if err := twoCPUs(); err != nil {
		return err
	}
	if o.probe, err = keepCopy(o.probe, dir); err != nil {
		return err
	}
	rep, err := o.measure(ctx, dir, variants)
	if err != nil {
		return err
	}
	if err := rep.write(o.out); err != nil {
		return err
	}
	return rep.failure()
}

func (o *options) measure(ctx context.Context, dir string, variants []variant) (*report, error) {
	server, err := startNginx(dir)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	c := &campaign{
		bench: &bench{probe: o.probe, dir: dir}, pairs: o.pairs,
		maxForeign: o.others, deadline: time.Now().Add(o.budget / 2), progress: os.Stderr,
	}
	rep := newReport(o)
	length := time.Duration(o.seconds) * time.Second
	full := loadKind{
		name: "full", steadiness: perSecond, wants: func(v variant) bool { return v.full },
		run: watched(func() (sample, error) { return fullLoad(ctx, server.url(), o.seconds) }),
	}
	warm, err := full.run()
	if err != nil {
		return nil, err
	}
	if rep.full, err = c.measure(ctx, full, variants); err != nil {
		return nil, err
	}
	rep.bareRate = medianBare(rep.full)
	if !(rep.bareRate > 0) {
		rep.bareRate = warm.perSecond
	}
	half := loadKind{
		name: "half", steadiness: p50, wants: func(v variant) bool { return v.half },
		run: watched(func() (sample, error) { return steadyLoad(server.address(), rep.bareRate/2, length) }),
	}
	c.deadline = time.Now().Add(o.budget / 2)
	if rep.half, err = c.measure(ctx, half, variants); err != nil {
		return nil, err
	}
	switches := loadKind{
		name: "switches", steadiness: perSecond, wants: func(v variant) bool { return v.switches },
		run: watched(func() (sample, error) { return switchLoad(length) }),
	}
	c.deadline = time.Now().Add(o.budget / 4)
	if rep.switches, err = c.measure(ctx, switches, variants); err != nil {
		return nil, err
	}
	rep.runTimes, err = c.runTimes(full, variants)
	return rep, err
}

// keepCopy copies the probe, so that a build meanwhile changes nothing.
func keepCopy(probe, dir string) (string, error) {
	data, err := os.ReadFile(probe)
	if err != nil {
		return "", fmt.Errorf("read the probe (make build): %w", err)
	}
	path := filepath.Join(dir, "probe")
	if err := os.WriteFile(path, data, 0o755); err != nil {
		return "", fmt.Errorf("copy the probe: %w", err)
	}
	return path, nil
}

// twoCPUs keeps this program and all its children on two CPUs, so that there
// is no idle one on which a cost would not show. It needs all threads: each
// has a mask of its own.
func twoCPUs() error {
	var allowed, two unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("read the CPUs allowed: %w", err)
	}
	for cpu := 0; cpu < len(allowed)*64 && two.Count() < 2; cpu++ {
		if allowed.IsSet(cpu) {
			two.Set(cpu)
		}
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	for _, t := range threads {
		var tid int
		if _, err := fmt.Sscan(t.Name(), &tid); err != nil {
			return fmt.Errorf("list threads: %w", err)
		}
		if err := unix.SchedSetaffinity(tid, &two); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("keep to two CPUs: %w", err)
		}
	}
	runtime.GOMAXPROCS(2)
	return nil
}

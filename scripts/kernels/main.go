// SPDX-License-Identifier: Apache-2.0

// Command kernels boots distribution kernels in QEMU, without KVM and with
// nothing but an initramfs, and tries in each of them: every source with every
// detail is loaded and attached; probe trace and probe run watch real requests.
// It records how many instructions the verifier walked through per program, and
// fails if one grew by more than a fifth over what docs/kernels.md says.
//
// Kernels are packages of Debian, from the mirror that apt is configured with, and
// of Ubuntu, if UBUNTU_MIRROR names one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"probe/scripts/kernels/result"
)

type options struct {
	arch    string
	suites  string
	out     string
	update  bool
	only    string
	cache   string
	patient time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.arch, "arch", "amd64", "architecture of the kernels, amd64 or arm64")
	flag.StringVar(&o.suites, "suites", suitesHere(), "suites of Debian and Ubuntu whose cloud kernels to try, separated by commas")
	flag.StringVar(&o.out, "report", filepath.Join("docs", "kernels.md"), "the report: what it says is the base of the comparison")
	flag.BoolVar(&o.update, "update", false, "rewrite the report (its part about this architecture)")
	flag.StringVar(&o.only, "only", "", "\"load\": load the programs and do not use them")
	flag.StringVar(&o.cache, "cache", filepath.Join(os.TempDir(), "probe-kernels"), "where package lists and packages are kept")
	flag.DurationVar(&o.patient, "timeout", 10*time.Minute, "how long one kernel may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := o.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

// suitesHere are those that can be had here.
func suitesHere() string {
	if os.Getenv("UBUNTU_MIRROR") == "" {
		return "bullseye-security,bookworm-security,trixie,trixie-backports"
	}
	return "bullseye-security,jammy-updates,bookworm-security,noble-updates,trixie,trixie-backports"
}

func (o *options) run(ctx context.Context) error {
	m, err := machineOf(o.arch)
	if err != nil {
		return err
	}
	base, err := readBase(o.out)
	if err != nil {
		return err
	}
	cache := filepath.Join(o.cache, o.arch)
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	initrd := filepath.Join(cache, "initrd")
	if err := buildInitramfs(ctx, o.arch, initrd); err != nil {
		return err
	}
	var guests []guest
	var problems []error
	for _, suite := range strings.Split(o.suites, ",") {
		g, err := o.try(ctx, m, suite, filepath.Join(cache, suite), initrd)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", suite, err))
			continue
		}
		guests = append(guests, g)
		problems = append(problems, judge(g)...)
		problems = append(problems, base.compare(o.arch, g)...)
	}
	if o.update {
		problems = append(problems, base.write(o.out, o.arch, guests, time.Now()))
	}
	return errors.Join(problems...)
}

// guest is what one kernel did.
type guest struct {
	release string
	checks  []result.Check
}

func (o *options) try(ctx context.Context, m machine, suite, dir, initrd string) (guest, error) {
	kernel, err := fetchKernel(ctx, o.arch, suite, dir)
	if err != nil {
		return guest{}, err
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, o.patient)
	defer cancel()
	console, err := m.boot(ctx, kernel, initrd, dir, o.only)
	if err != nil {
		return guest{}, err
	}
	g, err := readGuest(console)
	if err != nil {
		return guest{}, fmt.Errorf("%w; its last words:\n%s", err, tail(console, 2000))
	}
	fmt.Printf("%s: %d checks, %.0f s\n", g.release, len(g.checks), time.Since(begin).Seconds())
	return g, nil
}

// readGuest wants the end marker: QEMU ends well after a panic, too.
func readGuest(console string) (guest, error) {
	lines, err := result.Read(console)
	if err != nil {
		return guest{}, err
	}
	var g guest
	ended := false
	for _, l := range lines {
		switch {
		case l.Release != "":
			g.release = l.Release
		case l.Check != nil:
			g.checks = append(g.checks, *l.Check)
		case l.End:
			ended = true
		}
	}
	if !ended || g.release == "" {
		return guest{}, errors.New("the guest did not come to its end")
	}
	return g, nil
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }

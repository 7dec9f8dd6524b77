// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"probe/pkg/loader"
	"probe/scripts/kernels/result"
)

// checks are all there are, in order: every source with every detail is loaded,
// then each is used. With KindLoad nothing is used.
func checks(only string) []func() result.Check {
	sources := []loader.Source{loader.SourceSocket, loader.SourceSyscall}
	details := []loader.Detail{loader.DetailOff, loader.DetailBasic, loader.DetailFull}
	var all []func() result.Check
	for _, s := range sources {
		for _, d := range details {
			all = append(all, func() result.Check { return loadApart(string(s), string(d)) })
		}
	}
	if only == result.KindLoad {
		return all
	}
	for _, s := range sources {
		for _, d := range details {
			all = append(all, func() result.Check { return trace(string(s), string(d)) })
		}
	}
	return append(all, runDefault)
}

// loadApart runs load in a process of its own: the BPF library looks at /proc as
// soon as a process starts, and init started before there was one.
func loadApart(source, detail string) result.Check {
	c := result.Check{Kind: result.KindLoad, Source: source, Detail: detail}
	cmd := exec.Command(selfPath, argLoad, source, detail)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &c)
	}
	if err != nil {
		c.Problems = append(c.Problems, fmt.Sprintf("%v: %.500s", err, out))
	}
	return c
}

// load does once what the agent does with the loader.
func load(source loader.Source, detail loader.Detail) result.Check {
	c := result.Check{Kind: result.KindLoad, Source: string(source), Detail: string(detail)}
	o := loader.Options{Source: source, Detail: detail, Server: true, Client: true, VerifierStats: true}
	l, err := loader.Load(o)
	if err != nil {
		// Statistics replace the log of what was refused.
		o.VerifierStats = false
		if again, e := loader.Load(o); e != nil {
			err = e
		} else {
			err = errors.Join(err, again.Close())
		}
		c.Unsupported = errors.Is(err, loader.ErrNotSupported)
		c.Problems = append(c.Problems, err.Error())
		if log := loader.VerifierLog(err); log != "" {
			c.Problems = append(c.Problems, lastLines(log, 12))
		}
		return c
	}
	got, missing := l.Detail()
	c.Got, c.Missing = string(got), missing
	if source == loader.SourceSocket && runtime.GOARCH == "amd64" {
		c.UserMemory = l.UserMemory()
	}
	for _, p := range l.Verified() {
		c.Programs = append(c.Programs, result.Program{Name: p.Name, Instructions: p.Instructions})
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"sweep", func() error { return l.Sweep(0, true) }},
		{"drain", func() error { _, _, err := l.Drain(func([]byte) {}); return err }},
		{"counters", func() error { _, err := l.Counters(nil); return err }},
		{"host delays", func() error { _, err := l.HostDelays(); return err }},
		{"process delays", func() error {
			return l.ProcessDelays(func(uint32) bool { return true }, func(uint32, []uint32) {})
		}},
		{"detach", l.Detach}, {"close", l.Close},
	} {
		if err := step.do(); err != nil {
			c.Problems = append(c.Problems, fmt.Sprintf("%s: %v", step.name, err))
		}
	}
	return c
}

// lastLines is what of a verifier's log says why.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

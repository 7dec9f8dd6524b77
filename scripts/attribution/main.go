// SPDX-License-Identifier: Apache-2.0

// Command attribution plays requests whose time goes to a known cause on real
// servers, and compares the split that `probe trace --detail full` prints with
// what the servers measured themselves. It writes docs/attribution.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"probe/scripts/process"
)

type options struct {
	probe   string
	out     string
	only    string
	work    string
	samples int
	verbose bool
	keep    bool
}

func main() {
	if len(os.Args) > 1 {
		if serve := ownServer(os.Args[1]); serve != nil {
			fail(serve(os.Args[2:]))
			return
		}
	}
	var o options
	flag.StringVar(&o.probe, "probe", "bin/probe", "the probe to test")
	flag.StringVar(&o.out, "out", "", "where to write the report; - is standard output; default docs/attribution.md for a whole run, standard output for a part")
	flag.StringVar(&o.only, "only", "", "runtimes to run, separated by commas")
	flag.StringVar(&o.work, "work", "", "kinds of work to run, separated by commas")
	flag.IntVar(&o.samples, "samples", 20, "requests per cell and connection")
	flag.BoolVar(&o.verbose, "v", false, "print every request")
	flag.BoolVar(&o.keep, "keep", false, "keep the files, and say where")
	flag.Parse()
	ok, err := attributeAll(o)
	fail(err)
	if !ok {
		os.Exit(1)
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "attribution:", err)
		os.Exit(2)
	}
}

// attributeAll does what the options ask for and reports whether every cell is as
// it must be.
func attributeAll(o options) (bool, error) {
	probe, err := process.FindProbe(o.probe)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "attribution-")
	if err != nil {
		return false, fmt.Errorf("create work folder: %w", err)
	}
	if o.keep {
		fmt.Fprintln(os.Stderr, "files are kept in", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	restore, err := accountDelays()
	if err != nil {
		return false, err
	}
	defer restore()
	b := &bench{options: o, probe: probe, dir: dir}
	if err := b.startDownstream(); err != nil {
		return false, err
	}
	defer b.downstream.Stop()
	rep := &report{samples: o.samples}
	for _, r := range runtimes() {
		if wanted(o.only, r.name) {
			rep.add(r, b.runtime(r))
		}
	}
	if rep.empty() {
		return false, errors.New("nothing to run: see -only")
	}
	return rep.ok(), rep.write(o.output())
}

// wanted reports whether a list separated by commas has the name; the empty
// list has all.
func wanted(list, name string) bool {
	return list == "" || strings.Contains(","+list+",", ","+name+",")
}

func (o options) output() string {
	if o.out != "" {
		return o.out
	}
	if o.only == "" && o.work == "" {
		return filepath.Join("docs", "attribution.md")
	}
	return "-"
}

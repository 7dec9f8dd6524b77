// SPDX-License-Identifier: Apache-2.0

// Command conformance plays HTTP/1 behaviours on real servers and compares what
// `probe trace --json` prints with what the client and the servers' own access
// logs recorded, request by request. See README.md in this folder.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"probe/scripts/process"
)

type options struct {
	probe     string
	out       string
	only      string
	behaviour string
	source    string
	load      int
	verbose   bool
	keep      bool
}

func main() {
	switch {
	case len(os.Args) == 2 && os.Args[1] == goServerArg:
		fail(serveGo())
		return
	case len(os.Args) == 4 && os.Args[1] == timedServerArg:
		fail(serveTimed(os.Args[2], os.Args[3]))
		return
	case len(os.Args) > 2 && os.Args[1] == goClientArg:
		fail(runGoClient(os.Args[2], os.Args[3:]))
		return
	}
	var o options
	flag.StringVar(&o.probe, "probe", "bin/probe", "the probe to test; \"none\" checks the servers and the client against one another")
	flag.StringVar(&o.out, "out", "", "where to write the report; - is standard output; default docs/conformance.md for a whole run, none for a part")
	flag.StringVar(&o.only, "only", "", "servers and clients to run, separated by commas; \"clients\", \"load\" and \"times\" name those parts")
	flag.StringVar(&o.behaviour, "behaviour", "", "the one behaviour to run")
	flag.StringVar(&o.source, "source", "", "event source of the probe: socket or syscall; default is the probe's choice")
	flag.IntVar(&o.load, "load", 100_000, "requests of the load part in all; 0 leaves it out")
	flag.BoolVar(&o.verbose, "v", false, "print every difference as it is found")
	flag.BoolVar(&o.keep, "keep", false, "keep configurations, logs and traces, and say where")
	flag.Parse()
	ok, err := conform(o)
	fail(err)
	if !ok {
		os.Exit(1)
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(2)
	}
}

// conform does everything the options ask for and reports whether all of it is
// as it must be.
func conform(o options) (bool, error) {
	probe, err := probePath(o.probe)
	if err != nil {
		return false, err
	}
	work, err := makeWorkDir()
	if err != nil {
		return false, err
	}
	if o.keep {
		fmt.Fprintln(os.Stderr, "files are kept in", work)
	} else {
		defer os.RemoveAll(work)
	}
	p := &player{probe: tracer{path: probe, source: o.source}, workDir: work, behaviour: o.behaviour, verbose: o.verbose}
	rep := newReport(o, work)
	for _, v := range servers() {
		if o.wants(v.name) {
			p.report(rep, v)
		}
	}
	if o.behaviour == "" {
		for _, c := range clients() {
			if o.wants(c.name) || o.only != "" && o.wants("clients") {
				p.reportClient(rep, c)
			}
		}
	}
	if o.load > 0 && o.behaviour == "" && o.wants("load") {
		rep.load = p.load(o.load)
	}
	if probe != "" && o.behaviour == "" && o.wants("times") {
		rep.times = p.times()
	}
	return rep.ok(), rep.write(o.output())
}

// report plays one server and adds its rows.
func (p *player) report(rep *report, v *server) {
	fmt.Fprintf(os.Stderr, "%s ", v.name)
	rows, err := p.play(v)
	rep.add(v, rows, err)
	for _, line := range rep.servers[len(rep.servers)-1].summary(p.verbose) {
		fmt.Fprintln(os.Stderr, line)
	}
}

// reportClient plays one client and adds its row.
func (p *player) reportClient(rep *report, c client) {
	fmt.Fprintf(os.Stderr, "%s ", c.name)
	r, err := p.playClient(c)
	rep.addClient(c, r, err)
	for _, line := range rep.clients[len(rep.clients)-1].summary(p.verbose) {
		fmt.Fprintln(os.Stderr, line)
	}
}

func servers() []*server { return append(nativeServers(), scriptServers()...) }

func (o options) wants(name string) bool {
	if o.only == "" {
		return true
	}
	for n := range strings.SplitSeq(o.only, ",") {
		if n == name {
			return true
		}
	}
	return false
}

// output returns the path of the report, "" for none.
func (o options) output() string {
	if o.out == "" && o.only == "" && o.behaviour == "" && o.probe != "none" {
		return filepath.Join("docs", "conformance.md")
	}
	return o.out
}

func probePath(path string) (string, error) {
	if path == "none" {
		return "", nil
	}
	return process.FindProbe(path)
}

// bigFileContent looks like responses, one after the other: only the length in the head
// tells where the real one ends.
func bigFileContent() []byte {
	fake := []byte("HTTP/1.1 500 Fake\r\nContent-Length: 0\r\n\r\n")
	return bytes.Repeat(fake, bigFileBytes/len(fake)+1)[:bigFileBytes]
}

// makeWorkDir creates the folder for everything the servers need, readable by
// those that run as another user.
func makeWorkDir() (string, error) {
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return "", fmt.Errorf("create work folder: %w", err)
	}
	root := filepath.Join(dir, "root")
	hello := filepath.Join(root, "hello")
	err = errors.Join(
		os.Chmod(dir, 0o755),
		os.Mkdir(root, 0o755),
		os.WriteFile(hello, []byte("hello\n"), 0o644),
		os.WriteFile(filepath.Join(root, "big"), bigFileContent(), 0o644),
	)
	if err != nil {
		return "", errors.Join(fmt.Errorf("fill work folder: %w", err), os.RemoveAll(dir))
	}
	return dir, nil
}

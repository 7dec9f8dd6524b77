// SPDX-License-Identifier: Apache-2.0

// Command reliability shows what pkg/export loses when a receiver is killed,
// the network is cut, or the peer misbehaves, and writes docs/reliability.md.
// It needs root, for a network namespace of its own.
//
//	go run ./scripts/reliability               all of it, about two minutes
//	go run ./scripts/reliability --lines 5000  smaller
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

// settings are what the flags say.
type settings struct {
	lines, kills int
	out          string
	// cuts are how long the network is cut, one experiment each.
	cuts []time.Duration
}

func main() {
	asChild()
	s := settings{cuts: []time.Duration{5 * time.Second, longCut}}
	flag.IntVar(&s.lines, "lines", 100_000, "lines of each experiment")
	flag.IntVar(&s.kills, "kills", 20, "times the receiver is killed in each")
	flag.StringVar(&s.out, "out", "docs/reliability.md", "file to write; - for none")
	flag.Parse()
	exit(run(s))
}

// asChild: the command is also its own receiver and its own exporter.
func asChild() {
	if len(os.Args) < 4 {
		return
	}
	switch os.Args[1] {
	case receiveCommand:
		exit(receive(os.Args[2], os.Args[3]))
	case exportCommand:
		exit(exportUntilKilled(os.Args[2], os.Args[3], os.Args[4]))
	}
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "reliability:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run does every experiment and writes the report. It fails when something was
// lost that must not be.
func run(s settings) error {
	var r report
	steps := []func(settings, *report) error{killReceivers, cutNetwork, badPeers, killExporter}
	for _, step := range steps {
		if err := step(s, &r); err != nil {
			return err
		}
	}
	text := r.markdown(s)
	if s.out != "-" {
		if err := os.WriteFile(s.out, []byte(text), 0o644); err != nil {
			return fmt.Errorf("write report: %w", err)
		}
	}
	fmt.Print(text)
	return r.verdict()
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"probe/pkg/export"
)

// exportCommand makes this program an exporter with a spool.
const exportCommand = "export"

// exportUntilKilled exports numbered lines and says after each Export which was
// the last.
func exportUntilKilled(address, dir, from string) error {
	target, err := export.ParseTarget(address)
	if err != nil {
		return err
	}
	next, err := strconv.Atoi(from)
	if err != nil {
		return err
	}
	x, err := newExporterSink(export.Options{Target: target, SpoolDir: dir})
	if err != nil {
		return err
	}
	for ; ; next += batch {
		if err := x.send(next, batch); err != nil {
			return err
		}
		fmt.Println(next + batch - 1)
		time.Sleep(batchPause)
	}
}

// killExporter kills the exporter again and again while no receiver is there,
// and lets one more deliver what the others left.
func killExporter(s settings, r *report) error {
	dir, err := os.MkdirTemp("", "reliability")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	target := export.Target{Scheme: export.Unix, Path: filepath.Join(dir, "socket")}
	spool := filepath.Join(dir, "spool")
	rnd := rand.New(rand.NewPCG(5, uint64(s.kills)))
	last := 0
	for range s.kills {
		life := minLife + time.Duration(rnd.Int64N(int64(maxLife-minLife)))
		if last, err = exporterUntilKilled(target, spool, last+1, life); err != nil {
			return err
		}
	}
	c, err := startReceiver(target, fast)
	if err != nil {
		return err
	}
	x, err := newExporterSink(export.Options{Target: target, SpoolDir: spool})
	if err != nil {
		return err
	}
	if err := x.Export(context.Background(), numbered(last+1, 1)); err != nil {
		return err
	}
	if err := x.close(); err != nil {
		return err
	}
	// Of the Export that a kill cut short, the numbers come again from the next
	// exporter; each is at most a batch.
	r.add(row{
		name: "exporter with a spool killed, receiver away", kills: s.kills, lines: last + 1, must: true, tally: count([][]byte{c.wait()}, last+1),
		allowTwice: s.kills * batch, counters: x.Counters(),
	})
	return nil
}

func exporterUntilKilled(target export.Target, spool string, first int, life time.Duration) (last int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, exportCommand, target.String(), spool, strconv.Itoa(first))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	last = first - 1
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if last == first-1 {
			time.AfterFunc(life, func() { _ = cmd.Process.Kill() })
		}
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			return 0, fmt.Errorf("the exporter says %q", lines.Text())
		}
	}
	_ = cmd.Wait() // killed
	if last < first {
		return 0, fmt.Errorf("the exporter with the spool ended by itself")
	}
	return last, nil
}

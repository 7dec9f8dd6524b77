// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// sparePeerFiles are what a peer has open beside its connections.
const sparePeerFiles = 100

// peers are the processes that have the connections: as many as it takes, each
// as many as this host lets one process have.
type peers []*orders

func startPeers(dir string, connections int) (peers, error) {
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	program, err := ownName(dir, kindPeer, executable)
	if err != nil {
		return nil, err
	}

	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return nil, fmt.Errorf("read the limit of open files: %w", err)
	}
	files := int(min(limit.Max, 1<<20))
	each := (files - sparePeerFiles) / 2
	var all peers
	for range (connections + each - 1) / each {
		one, err := startPeer(program, files)
		if err != nil {
			all.end()
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// inTurn lets the peers share n, one after another: at most one of them and
// probe are busy.
func (p peers) inTurn(order string, n int) error {
	for i, one := range p {
		share := n*(i+1)/len(p) - n*i/len(p)
		if _, err := fmt.Fprintln(one.in, order, share); err != nil {
			return fmt.Errorf("peer: %w", err)
		}
		if !one.out.Scan() || one.out.Text() != "done" {
			return fmt.Errorf("peer does not %s: %w", order, errors.Join(one.out.Err(), errors.New(one.out.Text())))
		}
	}
	return nil
}

func (p peers) end() {
	for _, one := range p {
		one.in.Close()
		_ = one.cmd.Wait() // what it did not do, it has said
	}
}

// orders are given to a peer.
type orders struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startPeer(program string, files int) (o *orders, err error) {
	o = &orders{cmd: exec.Command(program, peerCommand, strconv.Itoa(files))}
	o.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	o.cmd.Stderr = os.Stderr
	if o.in, err = o.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	o.out = bufio.NewScanner(out)
	return o, o.cmd.Start()
}

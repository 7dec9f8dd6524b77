// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"probe/pkg/export"
)

// receiveCommand makes this program a receiver. A slow one reads 4 MB/s, less
// than half of what comes.
const (
	receiveCommand = "receive"
	fast, slow     = "fast", "slow"
	fastRead       = 1 << 16
	slowRead       = 4 << 10
	slowPause      = time.Millisecond
)

// receive accepts connections and moves what they bring to standard output. It
// does so within the kernel (splice), so that a kill falls either before or
// after a piece was read, and what was read is not lost with the process.
func receive(address, speed string) error {
	target, err := export.ParseTarget(address)
	if err != nil {
		return err
	}
	network, where := "unix", target.Path
	if target.Scheme == export.TCP {
		network, where = "tcp", fmt.Sprintf("%s:%d", target.Host, target.Port)
	} else if err := os.Remove(where); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err // a killed one leaves its socket behind
	}
	l, err := net.Listen(network, where)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "ready")
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	if err := l.Close(); err != nil {
		return err
	}
	file, err := conn.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		return err
	}
	size := fastRead
	if speed == slow {
		size = slowRead
	}
	for {
		if speed == slow {
			time.Sleep(slowPause)
		}
		n, err := unix.Splice(int(file.Fd()), nil, int(os.Stdout.Fd()), nil, size, 0)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
}

// child is a receiver that runs; it serves one connection.
type child struct {
	cmd *exec.Cmd
	all sync.WaitGroup
	mu  sync.Mutex
	got bytes.Buffer
}

// Write takes what it has read.
func (c *child) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got.Write(b)
}

// busy reports whether it has read anything.
func (c *child) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got.Len() > 0
}

// startReceiver starts one and waits until it listens. before are words in front
// of its command line.
func startReceiver(target export.Target, speed string, before ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	words := append(before, self, receiveCommand, target.String(), speed)
	c := &child{cmd: exec.Command(words[0], words[1:]...)}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	ready, err := c.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start receiver: %w", err)
	}
	listens := make([]byte, len("ready\n"))
	if _, err := io.ReadFull(ready, listens); err != nil || string(listens) != "ready\n" {
		rest, _ := io.ReadAll(ready)
		return nil, fmt.Errorf("receiver: %s%s: %w", listens, rest, errors.Join(err, c.cmd.Wait()))
	}
	c.all.Go(func() { _, _ = io.Copy(c, out) })
	c.all.Go(func() { _, _ = io.Copy(io.Discard, ready) }) // how its connection ended
	return c, nil
}

// kill ends it with SIGKILL and returns what it had read.
func (c *child) kill() []byte {
	_ = c.cmd.Process.Kill()
	return c.wait()
}

// wait waits for the end of its connection.
func (c *child) wait() []byte {
	c.all.Wait()
	_ = c.cmd.Wait() // killed, or its connection was reset: both are meant
	return c.got.Bytes()
}

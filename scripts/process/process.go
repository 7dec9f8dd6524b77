// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// process is a child with a process group of its own, so that ending it ends
// its workers and nothing else.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr string // paths of what it printed
	done           chan struct{}
}

// Several workers may share a log.
const logFlags = os.O_CREATE | os.O_WRONLY | os.O_TRUNC | os.O_APPEND

// startProcess starts a program; its output goes to files in dir. A stop of
// this program, for whatever reason, ends the child.
func startProcess(dir, name string, env []string, program string, args ...string) (*process, error) {
	p := &process{
		cmd:    exec.Command(program, args...),
		stdout: filepath.Join(dir, name+".out"),
		stderr: filepath.Join(dir, name+".err"),
		done:   make(chan struct{}),
	}
	out, err := os.OpenFile(p.stdout, logFlags, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer out.Close()
	log, err := os.OpenFile(p.stderr, logFlags, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, log
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is in ProcessState
		close(p.done)
	}()
	return p, nil
}

func (p *process) ended() bool { return p.wait(0) }

// wait reports whether the process ends within d.
func (p *process) wait(d time.Duration) bool {
	select {
	case <-p.done:
		return true
	default:
	}
	select {
	case <-p.done:
		return true
	case <-time.After(d):
		return false
	}
}

// stop ends the process and its workers, gently first.
func (p *process) stop() {
	p.signal(syscall.SIGTERM)
	p.wait(2 * time.Second)
	p.kill()
}

// kill ends the process and its workers at once.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	p.wait(5 * time.Second)
}

// signal reaches the whole group. The group outlives its leader as long as a
// worker does, and its number is not given to anybody else meanwhile.
func (p *process) signal(sig syscall.Signal) {
	err := syscall.Kill(-p.cmd.Process.Pid, sig)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		fmt.Fprintf(os.Stderr, "signal %s: %v\n", p.cmd.Path, err)
	}
}

// freePort returns a port on which nothing listens, on IPv4 or IPv6, and which
// the kernel does not hand out to outgoing connections.
func freePort() (int, error) {
	for range 100 {
		port := 20000 + rand.IntN(10000)
		if portFree("127.0.0.1", port) && portFree("::1", port) {
			return port, nil
		}
	}
	return 0, errors.New("no free port")
}

func portFree(host string, port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return host == "::1" && errors.Is(err, syscall.EADDRNOTAVAIL)
	}
	l.Close()
	return true
}

// waitListening waits until every address accepts connections.
func waitListening(p *process, timeout time.Duration, addresses ...[2]string) error {
	deadline := time.Now().Add(timeout)
	for _, a := range addresses {
		for {
			c, err := net.DialTimeout(a[0], a[1], time.Second)
			if err == nil {
				c.Close()
				break
			}
			if p.ended() || time.Now().After(deadline) {
				return fmt.Errorf("nothing listens on %s: %w: %s", a[1], err, tail(p.stderr))
			}
			time.Sleep(30 * time.Millisecond)
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

// Package process starts the programs that the tools in scripts play with, and
// ends them.
package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a child with a process group of its own, so that ending it ends
// its workers and nothing else.
type Process struct {
	Cmd            *exec.Cmd
	Stdout, Stderr string // paths of what it printed
	done           chan struct{}
}

// Several workers may share a log.
const logFlags = os.O_CREATE | os.O_WRONLY | os.O_TRUNC | os.O_APPEND

// Start starts a program; its output goes to files in dir. A stop of
// this program, for whatever reason, ends the child.
func Start(dir, name string, env []string, program string, args ...string) (*Process, error) {
	p := &Process{
		Cmd:    exec.Command(program, args...),
		Stdout: filepath.Join(dir, name+".out"),
		Stderr: filepath.Join(dir, name+".err"),
		done:   make(chan struct{}),
	}
	out, err := os.OpenFile(p.Stdout, logFlags, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer out.Close()
	log, err := os.OpenFile(p.Stderr, logFlags, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close()
	p.Cmd.Stdout, p.Cmd.Stderr = out, log
	p.Cmd.Dir = dir
	p.Cmd.Env = append(os.Environ(), env...)
	p.Cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.Cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.Cmd.Wait() // the exit code is in ProcessState
		close(p.done)
	}()
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.Cmd.Process.Pid }

// Ended reports whether the process has ended.
func (p *Process) Ended() bool { return p.Wait(0) }

// Wait reports whether the process ends within d.
func (p *Process) Wait(d time.Duration) bool {
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

// Stop ends the process and its workers, gently first.
func (p *Process) Stop() {
	p.signal(syscall.SIGTERM)
	p.Wait(2 * time.Second)
	p.Kill()
}

// Kill ends the process and its workers at once.
func (p *Process) Kill() {
	p.signal(syscall.SIGKILL)
	p.Wait(5 * time.Second)
}

// signal reaches the whole group. The group outlives its leader as long as a
// worker does, and its number is not given to anybody else meanwhile.
func (p *Process) signal(sig syscall.Signal) {
	err := syscall.Kill(-p.Cmd.Process.Pid, sig)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		fmt.Fprintf(os.Stderr, "signal %s: %v\n", p.Cmd.Path, err)
	}
}

// FreePort returns a port on which nothing listens, on IPv4 or IPv6, and which
// the kernel does not hand out to outgoing connections.
func FreePort() (int, error) {
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

// WaitListening waits until every address, a network and an address of it,
// accepts connections.
func WaitListening(p *Process, timeout time.Duration, addresses ...[2]string) error {
	deadline := time.Now().Add(timeout)
	for _, a := range addresses {
		for {
			c, err := net.DialTimeout(a[0], a[1], time.Second)
			if err == nil {
				c.Close()
				break
			}
			if p.Ended() || time.Now().After(deadline) {
				return fmt.Errorf("nothing listens on %s: %w: %s", a[1], err, Tail(p.Stderr))
			}
			time.Sleep(30 * time.Millisecond)
		}
	}
	return nil
}

// Tail returns the end of a log, for error messages.
func Tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	const most = 2000
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return strings.TrimSpace(string(b))
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"probe/scripts/process"
)

// bigFileBytes is the size of the file served at /big.
const bigFileBytes = 20 << 20

// server is one program under test.
type server struct {
	name, title string
	// needs lists the executables and files without which it cannot be started.
	needs []string
	// version is the command that prints its version.
	version []string
	// lacks gives, per behaviour, why the server cannot do it.
	lacks map[string]string
	// log says what its access log can be trusted with.
	log logTrust
	// start fills in the configuration and starts the program.
	start func(*site) error
	// cgi: what is not a file costs a process.
	cgi bool
	// logDelay is how long it may keep log lines in memory.
	logDelay time.Duration
	// parse reads a line of its access log; nil means parseLogLine.
	parse func(string) (logLine, bool)
}

// logTrust says which numbers of an access log are the bytes on the wire.
type logTrust struct {
	total, body, received bool
	// none: the server has no access log.
	none bool
	// peeks: now and then the request bytes include the first byte of the next
	// request, or count the own first byte twice, because the server looks ahead.
	peeks bool
	// but: behaviours whose log lines do not agree with the wire, and why.
	but map[string]string
}

// site is where one instance of a server lives.
type site struct {
	Dir  string // its files
	Root string // its documents
	Port int
	// Backend is the port of the server behind a proxy, 0 for others.
	Backend int
	Unix    string
	// Modules is the folder of the server's loadable modules, if any.
	Modules string

	accessLog string // path; empty means the main process's output
	procs     []*process.Process
}

// instance is a running server.
type instance struct {
	server *server
	site
}

//go:embed servers
var serverFiles embed.FS

//go:embed clients
var clientFiles embed.FS

// install writes the named files of servers/ to the site, with the site's
// values filled in.
func (s *site) install(names ...string) error {
	for _, name := range names {
		t, err := template.ParseFS(serverFiles, "servers/"+name)
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		f, err := os.OpenFile(filepath.Join(s.Dir, name), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
		if err != nil {
			return fmt.Errorf("install %s: %w", name, err)
		}
		err = t.Execute(f, s)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("fill in %s: %w", name, err)
		}
	}
	return nil
}

// launch starts a program of the site. The first one is the server whose output
// may hold the access log.
func (s *site) launch(program string, args ...string) error {
	name := fmt.Sprintf("server%d", len(s.procs))
	p, err := process.Start(s.Dir, name, s.environment(), program, args...)
	if err != nil {
		return err
	}
	s.procs = append(s.procs, p)
	return nil
}

// environment tells script servers where they are, and keeps programs that
// store their state in the user's home out of it.
func (s *site) environment() []string {
	return []string{
		"CONF_PORT=" + strconv.Itoa(s.Port), "CONF_UNIX=" + s.Unix, "CONF_ROOT=" + s.Root,
		"CONF_LOG=" + filepath.Join(s.Dir, "access.log"),
		"XDG_CONFIG_HOME=" + s.Dir, "XDG_DATA_HOME=" + s.Dir,
	}
}

func (s *site) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// kill ends the server itself, not what is behind it.
func (s *site) kill() { s.procs[0].Kill() }

// missing returns which of the programs and files the machine lacks.
func missing(needs []string) string {
	for _, n := range needs {
		if _, err := exec.LookPath(n); err == nil {
			continue
		}
		if _, err := os.Stat(n); err != nil {
			return n
		}
	}
	return ""
}

// versionText returns the first line with a digit that a version command prints.
func versionText(command []string) string {
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil && len(out) == 0 {
		return "unknown"
	}
	for line := range strings.Lines(string(out)) {
		if strings.ContainsAny(line, "0123456789") {
			return strings.TrimSpace(line)
		}
	}
	return "unknown"
}

// up starts an instance below workDir and waits until it listens.
func (v *server) up(workDir string) (*instance, error) {
	dir, err := os.MkdirTemp(workDir, v.name+"-")
	if err != nil {
		return nil, fmt.Errorf("create site: %w", err)
	}
	// Workers that run as another user must reach their files.
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open site: %w", err)
	}
	in := &instance{server: v, site: site{Dir: dir, Root: filepath.Join(workDir, "root"), Unix: filepath.Join(dir, "s.sock")}}
	if in.Port, err = process.FreePort(); err != nil {
		return nil, err
	}
	if in.Backend, err = process.FreePort(); err != nil {
		return nil, err
	}
	if err := v.start(&in.site); err != nil {
		in.down()
		return nil, err
	}
	wait := [][2]string{{"tcp", in.address()}}
	if v.lacks["ipv6"] == "" {
		wait = append(wait, [2]string{"tcp", net.JoinHostPort("::1", strconv.Itoa(in.Port))})
	}
	if v.lacks["unix"] == "" {
		wait = append(wait, [2]string{"unix", in.Unix})
	}
	if err := process.WaitListening(in.procs[0], 20*time.Second, wait...); err != nil {
		in.down()
		return nil, err
	}
	return in, nil
}

func (in *instance) down() {
	for _, p := range in.procs {
		p.Stop()
	}
}

// log reads the access log, waiting a moment until it has at least n lines.
func (in *instance) log(n int) ([]logLine, error) {
	path, parse := in.accessLog, in.server.parse
	if path == "" {
		path = in.procs[0].Stdout
	}
	if parse == nil {
		parse = parseLogLine
	}
	for deadline := time.Now().Add(2*time.Second + in.server.logDelay); ; time.Sleep(50 * time.Millisecond) {
		lines, err := readLog(path, parse)
		if err != nil || len(lines) >= n || time.Now().After(deadline) {
			return lines, err
		}
	}
}

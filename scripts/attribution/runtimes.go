// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"probe/scripts/process"
)

//go:embed servers
var serverFiles embed.FS

// runtime is one kind of server.
type runtime struct {
	name, title string
	// needs are the executables without which it cannot run.
	needs []string
	// source is its file below servers/, "" for a server of this program.
	source string
	// build is run in the server's folder, if given; start gets port, port of
	// the downstream server and folder as further arguments, then after.
	build, start, after []string
	version             []string
}

func runtimes() []runtime {
	python, node := "/usr/bin/python3", "node"
	return []runtime{
		{name: "c", title: "C, one thread, blocking calls", source: "server.c", needs: []string{"gcc"},
			build: []string{"gcc", "-O1", "-pthread", "-o", "server", "server.c"}, start: []string{"./server"},
			version: []string{"gcc", "--version"}},
		{name: "python", title: "Python ThreadingHTTPServer", source: "server.py", needs: []string{python},
			start: []string{python, "server.py"}, version: []string{python, "--version"}},
		{name: "node", title: "Node http", source: "server.js", needs: []string{node},
			start: []string{node, "server.js"}, version: []string{node, "--version"}},
		{name: "java", title: "Java httpserver, default executor", source: "Server.java", needs: []string{"java", "javac"},
			build: []string{"javac", "Server.java"}, start: []string{"java", "-Xmx128m", "-cp", ".", "Server"}, after: []string{"default"},
			version: []string{"java", "--version"}},
		{name: "java-pool", title: "Java httpserver, pool of 8 threads", source: "Server.java", needs: []string{"java", "javac"},
			build: []string{"javac", "Server.java"}, start: []string{"java", "-Xmx128m", "-cp", ".", "Server"}, after: []string{"pool"},
			version: []string{"java", "--version"}},
		{name: "go", title: "Go net/http", version: []string{"go", "version"}},
	}
}

// missing returns which of the executables the machine lacks.
func (r runtime) missing() string {
	for _, n := range r.needs {
		if _, err := exec.LookPath(n); err != nil {
			return n
		}
	}
	return ""
}

// instance is a running server.
type instance struct {
	*process.Process
	port int
}

func (i *instance) address() string { return "127.0.0.1:" + strconv.Itoa(i.port) }

// up builds and starts a server in dir and waits until it listens.
func (r runtime) up(dir string, downstream int) (*instance, error) {
	start := r.start
	if r.source == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find this program: %w", err)
		}
		start = []string{self, goServerArg}
	} else {
		src, err := serverFiles.ReadFile("servers/" + r.source)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, r.source), src, 0o644); err != nil {
			return nil, fmt.Errorf("write server: %w", err)
		}
	}
	if len(r.build) > 0 {
		c := exec.Command(r.build[0], r.build[1:]...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build server: %w: %s", err, out)
		}
	}
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	args := append([]string{}, start[1:]...)
	args = append(append(args, strconv.Itoa(port), strconv.Itoa(downstream), dir), r.after...)
	p, err := process.Start(dir, "server", nil, start[0], args...)
	if err != nil {
		return nil, err
	}
	in := &instance{p, port}
	if err := process.WaitListening(p, 20*time.Second, [2]string{"tcp", in.address()}); err != nil {
		p.Stop()
		return nil, err
	}
	return in, nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"probe/scripts/process"
)

const startTimeout = 15 * time.Second

// nginxConfig has a log per part: one line for each request, of whatever status.
const nginxConfig = `daemon off;
user root;
worker_processes 2;
error_log %[1]s/error.log crit;
pid %[1]s/nginx.pid;
events { worker_connections 2048; }
http {
  log_format short '$status';
  access_log off;
  keepalive_requests 100000;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  server {
    listen 127.0.0.1:%[2]d backlog=1024;
    %[3]s
  }
}
`

// nginx is one with an access log for each part.
type nginx struct {
	*process.Process
	dir  string
	port int
}

// startNginx starts one under a command name of this kind.
func startNginx(dir, kind string, parts ...string) (*nginx, error) {
	n := &nginx{dir: filepath.Join(dir, "nginx")}
	if err := os.Mkdir(n.dir, 0o755); err != nil {
		return nil, err
	}
	var err error
	if n.port, err = process.FreePort(); err != nil {
		return nil, err
	}
	var locations strings.Builder
	for _, part := range parts {
		fmt.Fprintf(&locations, "location /%[1]s { access_log %[2]s/%[1]s.log short buffer=64k flush=1s; return 200 \"ok\\n\"; }\n", part, n.dir)
	}
	config := filepath.Join(n.dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, n.dir, n.port, locations.String()), 0o644); err != nil {
		return nil, fmt.Errorf("configure nginx: %w", err)
	}
	program, err := ownName(n.dir, kind, "nginx")
	if err != nil {
		return nil, err
	}
	if n.Process, err = process.Start(n.dir, "nginx", nil, program, "-p", n.dir, "-c", config); err != nil {
		return nil, err
	}
	err = process.WaitListening(n.Process, startTimeout, [2]string{"tcp", n.address()})
	if err != nil {
		n.Stop()
	}
	return n, err
}

// ownName returns the path of a link in dir by which a program has a command
// name of its own: kind and the number of this process, of which the kernel
// keeps 15 bytes.
func ownName(dir, kind, program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	own := filepath.Join(dir, commOf(kind))
	return own, os.Symlink(path, own)
}

// Kinds of servers.
const (
	kindNginx = "soakng"
	kindNode  = "soakno"
	kindSelf  = "soakgo" // this program
	kindFault = "soakft" // the nginx of a fault
	kindPeer  = "soakpr" // who has very many connections
)

func commOf(kind string) string { return fmt.Sprint(kind, os.Getpid()) }

// comms are the command names of all servers of the soak.
func comms() string {
	return strings.Join([]string{commOf(kindNginx), commOf(kindNode), commOf(kindSelf)}, ",")
}

func (n *nginx) address() string { return loopback(n.port) }

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// logged ends nginx and returns how many requests the log of a part has.
func (n *nginx) logged(part string) (uint64, error) {
	n.Stop() // writes what it has kept
	text, err := os.ReadFile(filepath.Join(n.dir, part+".log"))
	if err != nil {
		return 0, fmt.Errorf("read access log: %w", err)
	}
	return uint64(bytes.Count(text, []byte("\n"))), nil
}

// site is every server of the soak.
type site struct {
	self  string // path of this program under a name of its own
	nginx *nginx
	// app serves on a port and a Unix socket, fresh only new routes, node what
	// JavaScript does.
	app, fresh, node             *process.Process
	appPort, freshPort, nodePort int
	socket                       string
}

func startSite(dir string) (s *site, err error) {
	s = &site{socket: filepath.Join(dir, "app.sock")}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if s.nginx, err = startNginx(dir, kindNginx, partKept, partEach, partPipe); err != nil {
		return nil, err
	}
	executable, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if s.self, err = ownName(dir, kindSelf, executable); err != nil {
		return nil, err
	}
	if s.app, s.appPort, err = s.startApp(dir, "app", s.socket); err != nil {
		return nil, err
	}
	if s.fresh, s.freshPort, err = s.startApp(dir, "fresh", filepath.Join(dir, "fresh.sock")); err != nil {
		return nil, err
	}
	script := filepath.Join(dir, "server.js")
	if err := os.WriteFile(script, []byte(nodeScript), 0o644); err != nil {
		return nil, err
	}
	if s.nodePort, err = process.FreePort(); err != nil {
		return nil, err
	}
	node, err := ownName(dir, kindNode, "node")
	if err != nil {
		return nil, err
	}
	if s.node, err = process.Start(dir, "node", nil, node, script, strconv.Itoa(s.nodePort)); err != nil {
		return nil, err
	}
	return s, process.WaitListening(s.node, startTimeout, [2]string{"tcp", loopback(s.nodePort)})
}

func (s *site) startApp(dir, name, socket string) (p *process.Process, port int, err error) {
	if port, err = process.FreePort(); err != nil {
		return nil, 0, err
	}
	if p, err = process.Start(dir, name, nil, s.self, appCommand, strconv.Itoa(port), socket); err != nil {
		return nil, 0, err
	}
	return p, port, process.WaitListening(p, startTimeout, [2]string{"tcp", loopback(port)}, [2]string{"unix", socket})
}

func (s *site) stop() {
	for _, p := range []*process.Process{s.app, s.fresh, s.node} {
		if p != nil {
			p.Stop()
		}
	}
	if s.nginx != nil {
		s.nginx.Stop()
	}
}

// logged is how many requests of each part the servers have logged. It stops nginx.
func (s *site) logged() (map[string]uint64, error) {
	all := map[string]uint64{}
	for _, port := range []int{s.appPort, s.freshPort, s.nodePort} {
		counts, err := askCounts(port)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, counts)
	}
	var err error
	for _, part := range []string{partKept, partEach, partPipe} {
		if all[part], err = s.nginx.logged(part); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// pids are those of nginx and its workers.
func (n *nginx) pids() ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", n.PID()))
	if err != nil {
		return nil, fmt.Errorf("find the workers of nginx: %w", err)
	}
	all := []int{n.PID()}
	for _, field := range strings.Fields(string(text)) {
		pid, err := number(field)
		if err != nil {
			return nil, fmt.Errorf("find the workers of nginx: %w", err)
		}
		all = append(all, pid)
	}
	return all, nil
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"probe/scripts/process"
)

// benchPath is requested by every run: by its route the requests of the bench
// are told from those of anybody else on the host.
const benchPath = "/probe-bench-target"

// One worker in one process, no file of it outside dir, no connection that
// ends by itself.
const nginxConfig = `daemon off;
master_process off;
worker_processes 1;
error_log %[1]s/error.log crit;
pid %[1]s/nginx.pid;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  server {
    listen 127.0.0.1:%[2]d;
    location / { return 200 "ok\n"; }
  }
}
`

// nginx is the server under load.
type nginx struct {
	proc *child
	port int
}

func startNginx(dir string) (*nginx, error) {
	port, err := process.FreePort()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, port), 0o644); err != nil {
		return nil, fmt.Errorf("configure nginx: %w", err)
	}
	proc, err := startChild("nginx", "-p", dir, "-c", config)
	if err != nil {
		return nil, err
	}
	n := &nginx{proc: proc, port: port}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := n.ask()
		if err == nil {
			return n, nil
		}
		if proc.wait(0) || time.Now().After(deadline) {
			proc.stop(time.Second)
			return nil, fmt.Errorf("start nginx: %w: %s", err, proc.complaint())
		}
	}
}

func (n *nginx) address() string { return fmt.Sprintf("127.0.0.1:%d", n.port) }

func (n *nginx) url() string { return "http://" + n.address() + benchPath }

// ask makes one request on a connection of its own.
func (n *nginx) ask() error {
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(n.url())
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func (n *nginx) stop() { n.proc.stop(3 * time.Second) }

// nginxVersion returns what nginx -v prints, such as "nginx/1.22.1".
func nginxVersion() string {
	out, err := exec.Command("nginx", "-v").CombinedOutput()
	if err != nil {
		return "nginx of unknown version"
	}
	_, version, _ := strings.Cut(strings.TrimSpace(string(out)), ": ")
	return version
}

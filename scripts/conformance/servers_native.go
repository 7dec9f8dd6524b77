// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"probe/scripts/process"
)

// Servers with a configuration language of their own.

const (
	nginxEcho    = "/usr/lib/nginx/modules/ngx_http_echo_module.so"
	apacheModule = "/usr/lib/apache2/modules"
)

const noUpgrade = "has nothing to upgrade to"

func nativeServers() []*server {
	return []*server{nginx(), apache("event"), apache("prefork"), lighttpd(), haproxy(), caddy()}
}

func nginx() *server {
	return &server{
		name: "nginx", title: "nginx",
		needs:   []string{"nginx", nginxEcho},
		version: []string{"nginx", "-v"},
		log:     logTrust{total: true, received: true},
		lacks:   map[string]string{"hints": "cannot produce a 103", "upgrade": noUpgrade},
		start:   startNginx,
	}
}

func startNginx(s *site) error {
	s.Modules = filepath.Dir(nginxEcho)
	s.accessLog = filepath.Join(s.Dir, "access.log")
	if err := s.install("nginx.conf"); err != nil {
		return err
	}
	return s.launch("nginx", "-p", s.Dir, "-c", filepath.Join(s.Dir, "nginx.conf"), "-e", filepath.Join(s.Dir, "error.log"))
}

func apache(mpm string) *server {
	return &server{
		name: "apache-" + mpm, title: "Apache " + mpm,
		needs:   []string{"apache2", apacheModule},
		cgi:     true,
		version: []string{"apache2", "-v"},
		log: logTrust{total: true, body: true, received: true, peeks: true, but: map[string]string{
			"pipelate": "counts what was read and written so far, a part of the neighbour included",
		}},
		lacks: map[string]string{
			"upgrade": noUpgrade, "hints": "sends 103 over HTTP/2 only",
			"trailers": "its CGI and file handlers cannot add trailers",
			"unix":     "does not listen on Unix sockets",
		},
		start: func(s *site) error { return startApache(s, mpm) },
	}
}

func startApache(s *site, mpm string) error {
	s.Modules = apacheModule
	s.accessLog = filepath.Join(s.Dir, "access.log")
	if err := s.install("apache.conf", "app.cgi"); err != nil {
		return err
	}
	return s.launch("apache2", "-d", s.Dir, "-f", filepath.Join(s.Dir, "apache.conf"), "-D", mpm, "-D", "FOREGROUND")
}

func lighttpd() *server {
	return &server{
		name: "lighttpd", title: "lighttpd",
		needs:   []string{"lighttpd"},
		cgi:     true,
		version: []string{"lighttpd", "-v"},
		log: logTrust{total: true, received: true, but: map[string]string{
			"lower":   "logs an empty request line for a method it does not know",
			"unknown": "logs an empty request line for a method it does not know",
		}},
		logDelay: 5 * time.Second,
		lacks: map[string]string{
			"upgrade": noUpgrade, "hints": "cannot produce a 103",
			"trailers": "cannot produce trailers",
		},
		start: startLighttpd,
	}
}

func startLighttpd(s *site) error {
	s.accessLog = filepath.Join(s.Dir, "access.log")
	if err := s.install("lighttpd.conf", "app.cgi"); err != nil {
		return err
	}
	return s.launch("lighttpd", "-D", "-f", filepath.Join(s.Dir, "lighttpd.conf"))
}

// haproxy is HAProxy in front of an nginx: three rows of the report come from
// it.
func haproxy() *server {
	return &server{
		name: "haproxy", title: "HAProxy",
		needs:   []string{"haproxy", "nginx", nginxEcho},
		version: []string{"haproxy", "-v"},
		log:     logTrust{}, // its byte counts are those of its internal form
		lacks:   map[string]string{"upgrade": "the server behind it cannot"},
		start:   startHAProxy,
	}
}

func startHAProxy(s *site) error {
	if err := s.install("haproxy.cfg"); err != nil {
		return err
	}
	if err := s.launch("haproxy", "-f", filepath.Join(s.Dir, "haproxy.cfg")); err != nil {
		return err
	}
	behind := *s
	behind.procs = nil
	behind.Port = s.Backend
	behind.Dir = filepath.Join(s.Dir, "behind")
	behind.Unix = filepath.Join(behind.Dir, "s.sock")
	if err := os.Mkdir(behind.Dir, 0o755); err != nil {
		return fmt.Errorf("create backend site: %w", err)
	}
	err := startNginx(&behind)
	s.procs = append(s.procs, behind.procs...)
	if err != nil {
		return err
	}
	return process.WaitListening(behind.procs[0], ioTimeout, [2]string{"tcp", behind.address()})
}

// caddy serves files itself and passes the rest to a small Go server over a
// Unix socket.
func caddy() *server {
	return &server{
		name: "caddy", title: "Caddy",
		needs:   []string{"caddy"},
		version: []string{"caddy", "version"},
		log:     logTrust{body: true, but: map[string]string{"star": notCalled, "upgrade": "logs status 0"}},
		parse:   parseCaddyLog,
		lacks:   map[string]string{},
		start:   startCaddy,
	}
}

func startCaddy(s *site) error {
	s.accessLog = filepath.Join(s.Dir, "access.log")
	if err := s.install("Caddyfile"); err != nil {
		return err
	}
	if err := s.launch("caddy", "run", "--config", filepath.Join(s.Dir, "Caddyfile"), "--adapter", "caddyfile"); err != nil {
		return err
	}
	behind := *s
	behind.procs = nil
	behind.Port = 0
	behind.Unix = filepath.Join(s.Dir, "app.sock")
	err := startGo(&behind)
	s.procs = append(s.procs, behind.procs...)
	return err
}

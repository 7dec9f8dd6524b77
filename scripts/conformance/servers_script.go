// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"path/filepath"
	"strconv"
)

// Servers that are a small program in some language.

// python is the distribution's interpreter: its packages are not visible to
// others that may come first in the search path.
const python = "/usr/bin/python3"

// notCalled is why an access log that the application writes lacks a line.
const notCalled = "refused before the application is called"

func scriptServers() []*server {
	return []*server{
		nodeServer(), pythonServer(), gunicorn("sync"), gunicorn("gthread"), uvicorn(), aiohttp(),
		puma(), webrick(), php(), goServer(), java(),
	}
}

// script starts one installed file with an interpreter.
func script(file, program string, args ...string) func(*site) error {
	return func(s *site) error {
		if err := s.install(file); err != nil {
			return err
		}
		return s.launch(program, append(args, filepath.Join(s.Dir, file))...)
	}
}

func nodeServer() *server {
	return &server{
		name: "node", title: "Node.js http",
		needs:   []string{"node"},
		version: []string{"node", "--version"},
		log: logTrust{total: true, but: map[string]string{
			"lower": notCalled, "unknown": notCalled,
			"pipeone": "counts both responses with the first", "pipetwo": "counts both responses with the first", "pipelate": "counts both responses with the first",
		}},
		lacks: map[string]string{},
		start: script("node.js", "node"),
	}
}

func pythonServer() *server {
	return &server{
		name: "python", title: "Python http.server",
		needs:   []string{python},
		version: []string{python, "--version"},
		lacks:   map[string]string{},
		start:   script("httpd.py", python),
	}
}

func gunicorn(worker string) *server {
	v := &server{
		name: "gunicorn-" + worker, title: "gunicorn " + worker,
		needs:   []string{"gunicorn", python},
		version: []string{"gunicorn", "--version"},
		log: logTrust{body: true, but: map[string]string{
			"unix":       "logs nothing when the client closes right after the answer to a HEAD",
			"big":        "does not count what sendfile sent",
			"lower":      "logs the method in upper case",
			"gonestream": "logs no broken responses", "gonebig": "logs no broken responses",
		}},
		lacks: map[string]string{
			"upgrade": noUpgrade, "hints": "WSGI has no interim responses",
			"trailers": "WSGI has no trailers",
		},
		start: func(s *site) error {
			if err := s.install("wsgi.py"); err != nil {
				return err
			}
			port := strconv.Itoa(s.Port)
			args := []string{
				"--chdir", s.Dir, "--worker-class", worker, "--keep-alive", "30",
				"--bind", "127.0.0.1:" + port, "--bind", "[::1]:" + port, "--bind", "unix:" + s.Unix,
				"--access-logfile", "-", "--access-logformat", "conf|%(s)s|-|%(B)s|-|%(r)s",
			}
			if worker == "gthread" {
				args = append(args, "--workers", "2", "--threads", "8")
			} else {
				args = append(args, "--workers", "4")
			}
			return s.launch("gunicorn", append(args, "wsgi:app")...)
		},
	}
	if worker == "gthread" {
		v.lacks["pipeone"] = "forgets the second request of a pipelined pair"
		v.lacks["pipetwo"] = v.lacks["pipeone"]
		v.lacks["pipelate"] = v.lacks["pipeone"]
	}
	if worker == "sync" {
		v.lacks["keepalive"] = "closes after every response"
		v.lacks["before"] = "closes after every response"
		v.lacks["pipeone"] = "closes after every response"
		v.lacks["pipetwo"] = "closes after every response"
		v.lacks["pipelate"] = "closes after every response"
	}
	return v
}

func uvicorn() *server {
	return &server{
		name: "uvicorn", title: "uvicorn",
		needs:   []string{python, "/usr/lib/python3/dist-packages/uvicorn"},
		version: []string{python, "-m", "uvicorn", "--version"},
		parse:   parseUvicornLog,
		lacks: map[string]string{
			"upgrade": noUpgrade, "hints": "ASGI has no interim responses",
			"trailers": "this version has no trailers",
		},
		start: script("asgi.py", python),
	}
}

func aiohttp() *server {
	return &server{
		name: "aiohttp", title: "aiohttp",
		needs:   []string{python, "/usr/lib/python3/dist-packages/aiohttp"},
		version: []string{python, "-c", "import aiohttp; print('aiohttp', aiohttp.__version__)"},
		log: logTrust{total: true, but: map[string]string{
			"big": "does not count what sendfile sent", "gonebig": "does not count what sendfile sent",
			"gonestream": "logs no broken responses",
			"lower":      notCalled, "unknown": notCalled,
		}},
		lacks: map[string]string{
			"upgrade": noUpgrade, "hints": "has no interim responses",
			"trailers": "has no trailers",
		},
		start: script("aio.py", python),
	}
}

func puma() *server {
	return &server{
		name: "puma", title: "Ruby Puma",
		needs:   []string{"puma", "ruby"},
		version: []string{"puma", "--version"},
		log:     logTrust{but: map[string]string{"lower": notCalled}},
		lacks: map[string]string{
			"upgrade": noUpgrade, "trailers": "Rack has no trailers",
			"early":      "reads the whole request first",
			"gonestream": "holds the pieces back (TCP_CORK), so all of them are in the kernel before the client is missed",
		},
		start: func(s *site) error {
			if err := s.install("config.ru"); err != nil {
				return err
			}
			port := strconv.Itoa(s.Port)
			return s.launch("puma", "--dir", s.Dir, "--environment", "production", "--early-hints", "--threads", "8:8",
				"--bind", "tcp://127.0.0.1:"+port, "--bind", "tcp://[::1]:"+port, "--bind", "unix://"+s.Unix,
				filepath.Join(s.Dir, "config.ru"))
		},
	}
}

func webrick() *server {
	return &server{
		name: "webrick", title: "Ruby WEBrick",
		needs:   []string{"ruby"},
		version: []string{"ruby", "-rwebrick", "-e", "puts \"WEBrick #{WEBrick::VERSION}, #{RUBY_DESCRIPTION}\""},
		log:     logTrust{body: true, but: map[string]string{"http10": "does not count bodies without a length"}},
		lacks: map[string]string{
			"upgrade": noUpgrade, "hints": "has no interim responses of its own",
			"trailers": "has no trailers",
			"unix":     "does not listen on Unix sockets",
		},
		start: script("webrick.rb", "ruby"),
	}
}

func php() *server {
	const closes, pieces = "closes after every response", "refuses a request line that comes in pieces"
	return &server{
		name: "php", title: "PHP built-in",
		needs:   []string{"php"},
		version: []string{"php", "--version"},
		log:     logTrust{but: map[string]string{"lower": notCalled, "unknown": notCalled}},
		lacks: map[string]string{
			"bytewise": pieces, "byteslow": pieces,
			"keepalive": closes, "before": closes, "pipeone": closes, "pipetwo": closes, "pipelate": closes,
			"upgrade": noUpgrade, "hints": "has no interim responses",
			"trailers": "has no trailers",
			"early":    "reads the whole request first",
			"unix":     "does not listen on Unix sockets",
		},
		start: startPHP,
	}
}

// startPHP needs one process per address.
func startPHP(s *site) error {
	s.accessLog = filepath.Join(s.Dir, "access.log")
	if err := s.install("router.php"); err != nil {
		return err
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		err := s.launch("php", "-S", net.JoinHostPort(host, strconv.Itoa(s.Port)), "-t", s.Dir, filepath.Join(s.Dir, "router.php"))
		if err != nil {
			return err
		}
	}
	return nil
}

func goServer() *server {
	return &server{
		name: "go", title: "Go net/http",
		version: []string{"go", "version"},
		log:     logTrust{body: true, but: map[string]string{"star": notCalled}},
		lacks:   map[string]string{},
		start:   startGo,
	}
}

func java() *server {
	return &server{
		name: "java", title: "Java HttpServer",
		needs:   []string{"java"},
		version: []string{"java", "-version"},
		log:     logTrust{body: true, but: map[string]string{"star": notCalled}},
		lacks: map[string]string{
			"upgrade": noUpgrade, "hints": "has no interim responses of its own",
			"trailers": "has no trailers",
			"unix":     "does not listen on Unix sockets",
		},
		start: script("Server.java", "java", "-Dsun.net.httpserver.nodelay=true"),
	}
}

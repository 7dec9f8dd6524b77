// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"probe/scripts/process"
)

// Foreign HTTP clients, observed in the client role. Each is a small program
// that takes a base address and a list of steps "METHOD target body", body being
// "-", a number of bytes, or chunked:N, and plays them in order, on one
// connection if it can.

// client is one program under test.
type client struct {
	name, title string
	needs       []string
	version     []string
	lacks       map[string]string // step → why
	// command starts it; dir is a folder of its own.
	command func(dir string) (program string, args []string, err error)
}

// step is one kind of request, the behaviour of the clients' table.
type step struct {
	name, title  string
	method, path string
	body         string
	times        int
}

func steps() []step {
	return []step{
		{"get", "GET", "GET", "/hello", "-", 1},
		{"kept", "5 requests on one connection", "GET", "/hello", "-", 5},
		{"head", "HEAD", "HEAD", "/hello", "-", 1},
		{"s204", "204", "GET", "/status/204", "-", 1},
		{"s304", "304", "GET", "/status/304", "-", 1},
		{"s404", "404", "GET", "/status/404", "-", 1},
		{"s500", "500", "GET", "/status/500", "-", 1},
		{"post", "POST 1000 bytes", "POST", "/post", "1000", 1},
		{"upload", "POST 2 MB", "POST", "/post", "2000000", 1},
		{"chunkedreq", "chunked request", "POST", "/post", "chunked:20000", 1},
		{"chunkedresp", "chunked response", "GET", "/chunked", "-", 2},
		{"trailers", "chunked response with trailers", "GET", "/trailers", "-", 1},
		{"stream", "streamed response", "GET", "/stream", "-", 1},
		{"big", "20 MB response", "GET", "/big", "-", 1},
		{"hints", "103 before the final status", "GET", "/hints", "-", 1},
		{"close", "body ended by close", "GET", "/close", "-", 1},
		{"again", "the request after that", "GET", "/hello", "-", 1},
	}
}

func clients() []client {
	return []client{
		{name: "curl", title: "curl", needs: []string{"curl"}, version: []string{"curl", "--version"}, command: curlCommand},
		{name: "go-client", title: "Go net/http client", version: []string{"go", "version"}, command: func(string) (string, []string, error) {
			self, err := os.Executable()
			return self, []string{goClientArg}, err
		}},
		{name: "python-client", title: "Python http.client", needs: []string{python}, version: []string{python, "--version"}, command: scriptClient("client.py", python)},
		{name: "node-client", title: "Node.js http client", needs: []string{"node"}, version: []string{"node", "--version"}, command: scriptClient("client.js", "node")},
		{name: "ruby-client", title: "Ruby Net::HTTP", needs: []string{"ruby"}, version: []string{"ruby", "--version"}, command: scriptClient("client.rb", "ruby")},
		{name: "java-client", title: "Java HttpClient", needs: []string{"java"}, version: []string{"java", "-version"}, command: scriptClient("Client.java", "java")},
		{
			name: "php-client", title: "PHP streams", needs: []string{"php"}, version: []string{"php", "--version"}, command: scriptClient("client.php", "php"),
			lacks: map[string]string{"chunkedreq": "cannot send chunks", "hints": "takes the 103 for the final status"},
		},
	}
}

func scriptClient(file, program string) func(string) (string, []string, error) {
	return func(dir string) (string, []string, error) {
		b, err := clientFiles.ReadFile("clients/" + file)
		if err != nil {
			return "", nil, err
		}
		path := filepath.Join(dir, file)
		return program, []string{path}, os.WriteFile(path, b, 0o644)
	}
}

// playClient runs one client under a probe and returns its row.
func (p *player) playClient(c client) (row, error) {
	if what := missing(c.needs); what != "" {
		return row{}, fmt.Errorf("%s is not installed", what)
	}
	dir, err := os.MkdirTemp(p.workDir, c.name+"-")
	if err != nil {
		return row{}, err
	}
	srv, err := newWireServer()
	if err != nil {
		return row{}, err
	}
	defer srv.close()
	program, args, err := c.command(dir)
	if err != nil {
		return row{}, err
	}
	t, err := p.probe.start(dir, "client", "--port", strconv.Itoa(srv.port))
	if err != nil {
		return row{}, err
	}
	args = append(args, "http://127.0.0.1:"+strconv.Itoa(srv.port))
	proc, err := process.Start(dir, "client", nil, program, append(args, c.plan()...)...)
	if err != nil {
		return row{}, err
	}
	defer proc.Stop()
	if !proc.Wait(60 * time.Second) {
		return row{}, fmt.Errorf("the client does not end: %s", process.Tail(proc.Stderr))
	}
	pids := map[int]bool{proc.Cmd.Process.Pid: true}
	lines, err := t.finish()
	if err != nil {
		return row{}, err
	}
	if code := proc.Cmd.ProcessState.ExitCode(); code != 0 {
		return row{}, fmt.Errorf("the client ended with code %d: %s", code, process.Tail(proc.Stderr))
	}
	return p.clientRow(c, srv.exchanges(), lines, pids), nil
}

// plan returns the steps the client can do, one argument each.
func (c client) plan() []string {
	var args []string
	for _, s := range steps() {
		if c.lacks[s.name] != "" {
			continue
		}
		for i := range s.times {
			args = append(args, fmt.Sprintf("%s %s?c=%s-%d %s", s.method, s.path, s.name, i+1, s.body))
		}
	}
	return args
}

func (p *player) clientRow(c client, seen []exchange, lines []traceLine, pids map[int]bool) row {
	var wants []want
	for _, x := range seen {
		w := wantOf(&run{behaviour: behaviourOfTag(x.tag)}, x, "client")
		w.remote = ""
		wants = append(wants, w)
	}
	verdicts := compare(wants, lines)
	checkPIDs(verdicts, lines, pids)
	r := row{title: c.title, cells: map[string]cell{}}
	for _, s := range steps() {
		n := len(slices.DeleteFunc(slices.Clone(seen), func(x exchange) bool { return behaviourOfTag(x.tag) != s.name }))
		switch v := verdicts[s.name]; {
		case c.lacks[s.name] != "":
			r.cells[s.name] = cell{text: "n/a", fine: true, detail: []string{c.lacks[s.name]}}
		case n != s.times:
			r.cells[s.name] = cell{text: "not played", detail: []string{fmt.Sprintf("the server saw %d requests", n)}}
		case p.probe.path == "":
			r.cells[s.name] = cell{text: "played", fine: true}
		case v != nil:
			r.cells[s.name] = cellOf(r.title, s.name, v)
		}
	}
	if v := verdicts[""]; v != nil {
		r.cells[strayLines] = cellOf(r.title, strayLines, v)
	}
	return r
}

// curlCommand wraps curl in a shell script that turns the steps into one
// invocation, so that the connection is kept.
func curlCommand(dir string) (string, []string, error) {
	program, args, err := scriptClient("curl.sh", "/bin/sh")(dir)
	return program, args, err
}

const goClientArg = "client-go"

// runGoClient plays the steps with net/http.
func runGoClient(base string, plan []string) error {
	for _, s := range plan {
		f := strings.Fields(s)
		var body io.Reader
		if n, chunked := strings.CutPrefix(f[2], "chunked:"); chunked || f[2] != "-" {
			size, err := strconv.Atoi(n)
			if err != nil {
				return err
			}
			body = strings.NewReader(strings.Repeat("g", size))
			if chunked {
				body = io.MultiReader(body) // hides the length
			}
		}
		req, err := http.NewRequest(f[0], base+f[1], body)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"probe/internal/testutil"
)

// secret is a text that must not leave the agent; each place has its own.
func secret(place string) string { return "s3cr3t" + place }

// secrets are the places; that of the query may be shown if asked for.
var secrets = [...]string{"authorization", "cookie", "setcookie", "apikey", "query", "form", "body", "userinfo", "password", "reason", "answer", "trailer"}

// privateConversations go over a connection each, request and answer in turn.
func privateConversations() [][]string {
	credentials := "Authorization: Bearer " + secret("authorization") + "\r\nCookie: session=" + secret("cookie") +
		"\r\nX-Api-Key: " + secret("apikey") + "\r\n"
	answer := "HTTP/1.1 200 " + secret("reason") + "\r\nSet-Cookie: id=" + secret("setcookie") +
		"\r\nContent-Length: " + fmt.Sprint(len(secret("answer"))) + "\r\n\r\n" + secret("answer")
	form := "password=" + secret("form")
	like := "GET /" + secret("body") + " HTTP/1.1\r\n" + credentials + "\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\nX-Trailer: %s\r\n\r\n", len(secret("body")), secret("body"), secret("trailer"))
	return [][]string{
		{"GET /private?token=" + secret("query") + " HTTP/1.1\r\nHost: a\r\n" + credentials + "\r\n", answer},
		{"POST /private HTTP/1.1\r\nContent-Length: " + fmt.Sprint(len(form)) + "\r\n\r\n" + form, answer},
		{"GET http://" + secret("userinfo") + ":" + secret("password") + "@proxied.example/private?" + secret("query") + " HTTP/1.1\r\n\r\n", answer},
		{"POST /private HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk, answer},
		// A body that looks like a request, by itself.
		{"POST /private HTTP/1.1\r\nContent-Length: " + fmt.Sprint(len(like)) + "\r\n\r\n", "", like, answer},
		// Not HTTP after all.
		{"GET /private?" + secret("query") + " " + secret("body") + "\r\n\r\n", secret("answer")},
		{secret("body") + " " + secret("body") + "\r\n\r\n", "HTTP/1.1 " + secret("answer") + "\r\n\r\n"},
		// Never answered.
		{"GET /private?" + secret("query") + " HTTP/1.1\r\n" + credentials + "\r\n", ""},
	}
}

// privateRequests are those of the conversations that count.
const privateRequests = 6

// converse plays the conversations between this process and itself.
func converse(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, steps := range privateConversations() {
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range steps {
			if text == "" {
				continue // the other one goes on
			}
			from, to := client, server
			if i%2 == 1 {
				from, to = server, client
			}
			write(from, text)
			to.SetReadDeadline(time.Now().Add(5 * time.Second))
			if n, err := to.Read(make([]byte, 4096)); n != len(text) {
				t.Fatalf("%d bytes of %q, %v", n, text, err)
			}
		}
		client.Close()
		server.Close()
	}
}

// outside is all that has left an agent: what it printed, its log, its files.
type outside struct {
	name           string
	settings       agentSettings
	cmd            *exec.Cmd
	ended          chan error
	stdout, stderr lockedBuffer
	shown          bytes.Buffer // at the endpoint
}

func startOutside(t *testing.T, name string, s agentSettings) *outside {
	t.Helper()
	o := &outside{name: name, settings: s, ended: make(chan error, 1)}
	o.settings.PIDs, o.settings.Debug = []uint32{uint32(os.Getpid())}, true
	o.settings.ReadyFile = filepath.Join(t.TempDir(), "ready")
	o.settings.ShutdownTimeout = 2 * time.Second
	o.cmd = startAgent(t, o.settings, &o.stdout, &o.stderr)
	go func() { o.ended <- o.cmd.Wait() }()
	t.Cleanup(func() { o.cmd.Process.Kill() })
	return o
}

func (o *outside) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := o.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// endOutside has the agents say all they know, and ends them.
func endOutside(t *testing.T, all []*outside) {
	t.Helper()
	for _, o := range all {
		o.signal(t, syscall.SIGUSR1)
	}
	time.Sleep(3 * killInterval)
	for _, o := range all {
		if o.settings.Listen != "" {
			for _, path := range []string{"/metrics", "/debug/state", "/readyz"} {
				_, text := get(t, o.settings.Listen, path)
				o.shown.WriteString(text)
			}
		}
		o.signal(t, syscall.SIGTERM)
	}
	for _, o := range all {
		<-o.ended // the error of one whose receiver is not there
	}
}

// texts are all of it by where it is.
func (o *outside) texts(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"stdout": o.stdout.String(), "log": o.stderr.String(), "endpoint": o.shown.String()}
	for _, dir := range []string{o.settings.StateDir, o.settings.SpoolDir} {
		if dir == "" {
			continue
		}
		known := false
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			all[path] = string(content)
			known = known || bytes.Contains(content, []byte("/private"))
			return err
		})
		if err != nil || !known {
			t.Errorf("%s: no request in the files of %s, %v", o.name, dir, err)
		}
	}
	return all
}

// Nothing of a message but what the documentation says leaves the agent: not on
// its outputs, not at its endpoint, not in its log, not on the disk.
func TestSecretsStayInside(t *testing.T) {
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	nobody := "tcp://" + freeAddress(t) // so that lines stay in the spool
	all := []*outside{
		startOutside(t, "run", agentSettings{StateDir: t.TempDir(), Listen: freeAddress(t)}),
		startOutside(t, "spool", agentSettings{Statsd: nobody, SpoolDir: t.TempDir(), Listen: freeAddress(t)}),
		startOutside(t, "objects", agentSettings{Trace: true, Listen: freeAddress(t)}),
		startOutside(t, "text", agentSettings{Trace: true, Text: true}),
		startOutside(t, "query", agentSettings{Trace: true, Query: true}),
	}
	for _, o := range all {
		awaitFile(t, o.settings.ReadyFile, o.ended)
	}
	converse(t)
	endOutside(t, all)
	for _, o := range all {
		found := map[string]bool{}
		route := 0
		for where, text := range o.texts(t) {
			route += strings.Count(text, "/private")
			for _, place := range secrets {
				if strings.Contains(text, secret(place)) {
					found[place] = true
					if place != "query" || !o.settings.Query {
						t.Errorf("%s: %s is in %s", o.name, secret(place), where)
					}
				}
			}
		}
		// It would be there, if it were let out.
		if route == 0 {
			t.Errorf("%s: no request came out", o.name)
		}
		if o.settings.Query && !found["query"] {
			t.Errorf("%s: the query is not there, and was asked for", o.name)
		}
		if o.settings.Trace && !o.settings.Text {
			if got := strings.Count(o.stdout.String(), `"route":"/private"`); got != privateRequests {
				t.Errorf("%s: %d requests, want %d:\n%s", o.name, got, privateRequests, o.stdout.String())
			}
			if !strings.Contains(o.stdout.String(), `"target":"http://proxied.example/private`) {
				t.Errorf("%s: the request with a password is not there", o.name)
			}
		}
	}
}

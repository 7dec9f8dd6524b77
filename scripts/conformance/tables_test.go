// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A reason under a misspelt name would silently excuse nothing, or leave a cell
// out.
func TestNamesAreKnown(t *testing.T) {
	known := map[string]bool{}
	for _, b := range behaviours() {
		if known[b.name] || strings.ContainsAny(b.name, "-?&= ") {
			t.Errorf("behaviour name %q is used twice or cannot be a tag", b.name)
		}
		known[b.name] = true
	}
	names := map[string]bool{}
	for _, v := range servers() {
		if names[v.name] {
			t.Errorf("server name %q is used twice", v.name)
		}
		names[v.name] = true
		for k := range v.lacks {
			if !known[k] {
				t.Errorf("%s lacks %q, which is no behaviour", v.name, k)
			}
		}
		for k := range v.log.but {
			if !known[k] {
				t.Errorf("the log of %s leaves out %q, which is no behaviour", v.name, k)
			}
		}
	}
	for _, n := range loadServers {
		if !names[n] {
			t.Errorf("load server %q does not exist", n)
		}
	}
	for _, g := range knownGaps() {
		if g.counter == "" || g.why == "" || len(g.fields) == 0 {
			t.Errorf("gap %+v needs fields, a counter and a reason", g)
		}
	}
}

// The two oracles, the raw client and the raw server, must agree.
func TestWireServerAgreesWithClient(t *testing.T) {
	srv, err := newWireServer()
	if err != nil {
		t.Fatal(err)
	}
	defer srv.close()
	r := &run{behaviour: "self", network: "tcp", address: net.JoinHostPort("127.0.0.1", strconv.Itoa(srv.port))}
	c, err := r.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, s := range steps() {
		q := r.request(s.method, s.path)
		if n, chunked := strings.CutPrefix(s.body, "chunked:"); s.body != "-" {
			size, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			q.body, q.chunked = make([]byte, size), chunked
		}
		if c.closed {
			if c, err = r.dial(); err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
		if _, err := r.do(c, q); err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	got := srv.exchanges()
	if len(got) != len(r.seen) {
		t.Fatalf("the server saw %d exchanges, the client %d", len(got), len(r.seen))
	}
	for i, x := range r.seen {
		x.interim, x.bodyBytes = nil, 0 // only the client records these
		if diff := cmp.Diff(x, got[i], cmp.AllowUnexported(exchange{})); diff != "" {
			t.Errorf("%s (-client +server):\n%s", x.target, diff)
		}
	}
}

func TestReport(t *testing.T) {
	bad := &verdict{matched: 1, differ: []difference{{"s404-1", "status", "404", "200"}}}
	good := &verdict{matched: 1}
	v := &server{name: "x", title: "Server X", version: []string{"true"}}
	rep := newReport(options{}, "/secret/place")
	rep.add(v, []row{{title: "Server X", cells: map[string]cell{
		"s404": cellOf("Server X", "s404", good),
		"s204": {text: "n/a", fine: true, detail: []string{"cannot"}},
	}}}, nil)
	if !rep.ok() {
		t.Error("exact and n/a must be fine")
	}
	rep.add(v, []row{{title: "Server Y", cells: map[string]cell{"s404": cellOf("Server Y", "s404", bad)}}}, nil)
	if rep.ok() {
		t.Error("a difference must not be fine")
	}
	rep.add(v, nil, errors.New("no such file: /secret/place/x"))
	path := filepath.Join(t.TempDir(), "report.md")
	if err := rep.write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, must := range []string{
		"| | Server X | Server Y |", "| 404 | exact | **1× status** |", "| 204 | n/a | |",
		"s404-1: status is 200, want 404", "- 204: cannot (Server X)", "could not be tested",
	} {
		if !bytes.Contains(text, []byte(must)) {
			t.Errorf("the document lacks %q", must)
		}
	}
	if bytes.Contains(text, []byte("/secret")) {
		t.Error("the document names a path of the machine")
	}
}

func TestLoadAndTimesVerdicts(t *testing.T) {
	equal := loadRow{client: 5, log: 5, probe: 5, exact: true}
	for _, tt := range []struct {
		name string
		row  loadRow
		want bool
	}{
		{"equal", equal, true},
		{"the probe lost one", loadRow{client: 5, log: 5, probe: 4}, false},
		{"the probe invented one", loadRow{client: 5, log: 5, probe: 6, exact: true}, false},
		{"the log lost one", loadRow{client: 5, log: 4, probe: 5, exact: true}, false},
		{"one differs", loadRow{client: 5, log: 5, probe: 5}, false},
	} {
		if got := (&loadResult{rows: []loadRow{tt.row}, compared: true}).ok(); got != tt.want {
			t.Errorf("%s: ok() = %v", tt.name, got)
		}
	}
	for _, tt := range []struct {
		within, n int
		want      bool
	}{{100, 100, true}, {95, 100, true}, {94, 100, false}, {0, 0, false}} {
		if got := (timeRow{within: tt.within, n: tt.n}).ok(); got != tt.want {
			t.Errorf("%d of %d: ok() = %v", tt.within, tt.n, got)
		}
	}
}

func TestTimeCaseRows(t *testing.T) {
	c := timeCase{title: "t", path: "/x", tolerance: ofHandler}
	own := map[string]ownTimes{"times-0": {ttfb: 1_000_000, duration: 10_000_000}, "times-1": {ttfb: 1_000_000, duration: 10_000_000}}
	lines := []traceLine{
		{Target: "/x?c=times-0", TTFB: 1_309_000, Duration: 10_399_000},
		{Target: "/x?c=times-1", TTFB: 1_311_000, Duration: 10_401_000},
	}
	rows, err := c.rows(own, lines)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.n != 2 || r.within != 1 {
			t.Errorf("%s: %d of %d within, want 1 of 2", r.field, r.within, r.n)
		}
	}
	if _, err := c.rows(own, lines[:1]); err == nil {
		t.Error("a missing line must be an error")
	}
}

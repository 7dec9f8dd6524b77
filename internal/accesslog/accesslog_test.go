// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/internal/testutil"
	"probe/pkg/events"
)

// wall puts monotonic zero at a fixed moment.
func wall(monoNS uint64) time.Time {
	return time.Date(2025, 3, 9, 7, 5, 3, 0, time.UTC).Add(time.Duration(monoNS))
}

// inUTC makes the text lines, which are in local time, the same everywhere.
func inUTC(t testing.TB) {
	t.Helper()
	local := time.Local
	time.Local = time.UTC
	t.Cleanup(func() { time.Local = local })
}

func v4() *events.Conn {
	return &events.Conn{ID: 7, Inode: 9, Family: events.FamilyIPv4, Comm: "nginx",
		Local:  events.Endpoint{Addr: [16]byte{10, 0, 0, 1}, Port: 8080},
		Remote: events.Endpoint{Addr: [16]byte{192, 168, 1, 20}, Port: 51234}}
}

func v6() *events.Conn {
	return &events.Conn{Family: events.FamilyIPv6, Comm: "node",
		Local:  events.Endpoint{Addr: [16]byte{0: 0x20, 1: 1, 15: 1}, Port: 443},
		Remote: events.Endpoint{Addr: [16]byte{10: 0xff, 11: 0xff, 12: 10, 15: 9}, Port: 6}}
}

// request is a plain exchange, changed as a case wants it.
func request(change func(*events.Request)) *events.Request {
	q := &events.Request{
		Conn: v4(), Role: events.RoleServer, PID: 4321, TID: 4322,
		Method: []byte("GET"), Target: []byte("/api/users/17?token=secret"), Host: []byte("example.org"),
		ProtoMinor: 1, Status: 200, Service: "users", Route: "/api/users/{id}",
		StartNS: uint64(1500 * time.Millisecond), EndNS: uint64(1512345 * time.Microsecond),
		TTFB: 9876543 * time.Nanosecond, Duration: 12345678 * time.Nanosecond,
		Wait:         events.Wait{Accept: 250 * time.Microsecond, Socket: 1700 * time.Microsecond, Known: true},
		RequestBytes: 312, ResponseBytes: 48213,
	}
	if change != nil {
		change(q)
	}
	return q
}

// samples are the lines of the golden files.
func samples() []*events.Request {
	return []*events.Request{
		request(nil),
		request(func(q *events.Request) { q.Target = []byte("/no/query") }),
		request(func(q *events.Request) { q.Target = []byte("?") }),
		request(func(q *events.Request) { q.Role, q.Wait = events.RoleClient, events.Wait{} }),
		request(func(q *events.Request) { q.Conn = v6(); q.Status, q.Outcome = 503, events.OutcomeError }),
		request(func(q *events.Request) {
			q.Conn, q.Wait = &events.Conn{Family: events.FamilyUnix, Comm: "gunicorn"}, events.Wait{}
		}),
		request(func(q *events.Request) { q.Conn = &events.Conn{ID: 3} }),
		request(func(q *events.Request) {
			q.Outcome, q.Status, q.TTFB, q.ResponseBytes = events.OutcomeUnanswered, 0, 0, 0
		}),
		request(func(q *events.Request) {
			q.Outcome = events.OutcomeAborted
			q.Flags = events.FlagBytesUncertain | events.FlagTimeUncertain
		}),
		request(func(q *events.Request) { q.Outcome, q.Status = events.OutcomeUpgraded, 101 }),
		request(func(q *events.Request) { q.Outcome, q.Duration = events.OutcomeInProgress, 61*time.Second }),
		request(func(q *events.Request) {
			*q = events.Request{Conn: q.Conn, Role: q.Role, Service: "users", Status: 204, EndNS: q.EndNS,
				ResponseBytes: 99, Flags: events.FlagNoRequest}
		}),
		request(func(q *events.Request) { q.Target, q.Flags = []byte("/cut/off"), events.FlagTargetCut }),
		request(func(q *events.Request) { q.ProtoMinor, q.Duration, q.TTFB = 0, 999*time.Nanosecond, 1 }),
		request(func(q *events.Request) { q.Duration, q.TTFB, q.Wait.Socket = 0, 0, 0 }),
		slow(nil),
		request(func(q *events.Request) {
			q.Service = "shop/api"
			q.Origin = &events.Origin{Container: "api", ContainerID: "5f3c", Pod: "shop-6d4cf56db6-x2l8q", Namespace: "prod", Workload: "shop"}
		}),
	}
}

// slow is a request of 200 ms whose time was measured.
func slow(change func(*events.Request)) *events.Request {
	return request(func(q *events.Request) {
		q.Duration, q.Target = 200*time.Millisecond, []byte("/api/items?page=2")
		q.Wait = events.Wait{Accept: 2 * time.Millisecond, Socket: 10 * time.Millisecond, Known: true}
		q.Times = events.Times{Attribution: events.AttributionThread, MajorFaults: 3, MinorFaults: 40}
		q.Times.Part[events.PartCPU] = 20 * time.Millisecond
		q.Times.Part[events.PartRunQueue] = 122 * time.Millisecond
		q.Times.Part[events.PartLock] = 44 * time.Millisecond
		q.Times.Part[events.PartUnattributed] = 2 * time.Millisecond
		q.Times.PushedBy = events.Pusher{PID: 4711, CPU: 3, Comm: [16]byte{'b', 'a', 't', 'c', 'h'}, For: 90 * time.Millisecond}
		if change != nil {
			change(q)
		}
	})
}

func printed(t testing.TB, o Options, requests ...*events.Request) string {
	t.Helper()
	o.Wall = wall
	var out bytes.Buffer
	p := New(&out, o)
	for _, q := range requests {
		p.Print(q)
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	if n, lost := p.Counts(); n != uint64(len(requests)) || lost != 0 {
		t.Errorf("%d lines printed, %d lost", n, lost)
	}
	return out.String()
}

func TestText(t *testing.T) {
	inUTC(t)
	testutil.Golden(t, "text.golden", []byte(printed(t, Options{}, samples()...)))
}

func TestJSON(t *testing.T) {
	testutil.Golden(t, "json.golden", []byte(printed(t, Options{JSON: true}, samples()...)))
}

// line is what a reader of the JSON form may rely on.
type line struct {
	Time          time.Time       `json:"time"`
	Role          string          `json:"role"`
	PID           uint32          `json:"pid"`
	TID           uint32          `json:"tid"`
	Comm          string          `json:"comm"`
	Service       string          `json:"service"`
	Container     string          `json:"container"`
	ContainerID   string          `json:"container_id"`
	Pod           string          `json:"pod"`
	Namespace     string          `json:"namespace"`
	Workload      string          `json:"workload"`
	Local         string          `json:"local"`
	Remote        string          `json:"remote"`
	Method        string          `json:"method"`
	Target        string          `json:"target"`
	Route         string          `json:"route"`
	Proto         string          `json:"proto"`
	Status        int             `json:"status"`
	Outcome       string          `json:"outcome"`
	DurationNS    int64           `json:"duration_ns"`
	TTFBNS        int64           `json:"ttfb_ns"`
	RequestBytes  uint64          `json:"request_bytes"`
	ResponseBytes uint64          `json:"response_bytes"`
	Wait          map[string]any  `json:"wait"`
	Attribution   string          `json:"attribution"`
	Faults        json.RawMessage `json:"faults"`
	PushedBy      json.RawMessage `json:"pushed_by"`
	Flags         json.RawMessage `json:"flags"`
}

// fieldNames in the order of the line, without those of inner objects.
var fieldNames = []string{
	"time", "role", "pid", "tid", "comm", "service", "container", "container_id", "pod", "namespace", "workload", "local", "remote", "method", "target", "route", "proto",
	"status", "outcome", "duration_ns", "ttfb_ns", "request_bytes", "response_bytes", "wait",
}

// parse reads one line as strictly as encoding/json can.
func parse(t testing.TB, text string) (line, []string) {
	t.Helper()
	var l line
	strict := json.NewDecoder(strings.NewReader(text))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&l); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	if _, err := strict.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("more than one value in %q", text)
	}
	return l, keys(t, text)
}

func keys(t testing.TB, text string) []string {
	t.Helper()
	var names []string
	tokens := json.NewDecoder(strings.NewReader(text))
	for depth, key := 0, false; ; {
		token, err := tokens.Token()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			key = true
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
			key = true
			continue
		}
		if depth == 1 && key {
			names = append(names, token.(string))
		}
		key = depth > 1 || !key
	}
}

func TestJSONFields(t *testing.T) {
	for _, text := range strings.SplitAfter(strings.TrimSuffix(printed(t, Options{JSON: true}, samples()...), "\n"), "\n") {
		_, names := parse(t, text)
		want := fieldNames
		for _, optional := range []string{"attribution", "faults", "pushed_by", "flags"} {
			if strings.Contains(text, `"`+optional+`"`) {
				want = append(want[:len(want):len(want)], optional)
			}
		}
		if d := cmp.Diff(want, names); d != "" {
			t.Errorf("fields (-want +got):\n%s\nin %s", d, text)
		}
	}
}

func TestJSONValues(t *testing.T) {
	got, _ := parse(t, printed(t, Options{JSON: true}, request(nil)))
	want := line{
		Time: wall(uint64(1500 * time.Millisecond)), Role: "server", PID: 4321, TID: 4322, Comm: "nginx", Service: "users",
		Local: "10.0.0.1:8080", Remote: "192.168.1.20:51234", Method: "GET", Target: "/api/users/17", Route: "/api/users/{id}",
		Proto: "HTTP/1.1", Status: 200, Outcome: "ok", DurationNS: 12345678, TTFBNS: 9876543, RequestBytes: 312, ResponseBytes: 48213,
		Wait: map[string]any{"accept_ns": 250000.0, "socket_ns": 1700000.0},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("line (-want +got):\n%s", d)
	}
}

// The parts stand in "wait" and add up to the duration.
func TestJSONParts(t *testing.T) {
	got, _ := parse(t, printed(t, Options{JSON: true}, slow(nil)))
	want := map[string]any{
		"accept_ns": 2e6, "socket_ns": 10e6, "cpu_ns": 20e6, "runq_ns": 122e6, "throttled_ns": 0.0, "memory_ns": 0.0,
		"blocked":         map[string]any{"lock_ns": 44e6, "disk_ns": 0.0, "net_ns": 0.0, "sleep_ns": 0.0, "other_ns": 0.0},
		"unattributed_ns": 2e6,
	}
	if d := cmp.Diff(want, got.Wait); d != "" {
		t.Errorf("wait (-want +got):\n%s", d)
	}
	rest := []string{got.Attribution, string(got.Faults), string(got.PushedBy)}
	if d := cmp.Diff([]string{"thread", `{"major":3,"minor":40}`, `{"pid":4711,"comm":"batch","cpu":3,"ns":90000000}`}, rest); d != "" {
		t.Errorf("the rest (-want +got):\n%s", d)
	}
	named, _ := parse(t, printed(t, Options{JSON: true}, slow(func(q *events.Request) {
		q.Times.PushedBy.Service, q.Times.PushedBy.Cgroup = "batch", `/a "b"`
	})))
	if d := cmp.Diff(`{"pid":4711,"comm":"batch","service":"batch","cgroup":"/a \"b\"","cpu":3,"ns":90000000}`, string(named.PushedBy)); d != "" {
		t.Errorf("pushed by (-want +got):\n%s", d)
	}
	unix := slow(func(q *events.Request) {
		q.Conn, q.Wait = &events.Conn{Family: events.FamilyUnix}, events.Wait{}
	})
	if got, _ := parse(t, printed(t, Options{JSON: true}, unix)); got.Wait["cpu_ns"] != 20e6 || got.Wait["accept_ns"] != nil {
		t.Errorf("Unix socket: wait %v", got.Wait)
	}
}

// Whole numbers of any size must survive: no floats, no exponents.
func TestJSONNumbers(t *testing.T) {
	text := printed(t, Options{JSON: true}, request(func(q *events.Request) {
		q.RequestBytes, q.ResponseBytes, q.Duration = 1<<63+1, ^uint64(0), 1<<63-1
	}))
	for _, want := range []string{`"request_bytes":9223372036854775809,`, `"response_bytes":18446744073709551615,`, `"duration_ns":9223372036854775807,`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

func TestQuery(t *testing.T) {
	tests := []struct {
		target, without, with string
	}{
		{"/a?b=c", "/a", "/a?b=c"},
		{"/a?b?c", "/a", "/a?b?c"},
		{"/a", "/a", "/a"},
		{"/a?", "/a", "/a?"},
		{"?", "", "?"},
		{"", "", ""},
		{"http://h/p?q#f", "http://h/p", "http://h/p?q#f"},
		{"http://user:password@h:80/p?q", "http://h:80/p", "http://h:80/p?q"},
		{"http://user:p@ss@h?q=a@b", "http://h", "http://h?q=a@b"},
		{"http://user@h", "http://h", "http://h"},
		{"http://h/a@b", "http://h/a@b", "http://h/a@b"},
		{"/a://b:c@d/", "/a://b:c@d/", "/a://b:c@d/"},
	}
	for _, tt := range tests {
		q := request(func(q *events.Request) { q.Target = []byte(tt.target) })
		if l, _ := parse(t, printed(t, Options{JSON: true}, q)); l.Target != tt.without {
			t.Errorf("%q: %q, want %q", tt.target, l.Target, tt.without)
		}
		if l, _ := parse(t, printed(t, Options{JSON: true, Query: true}, q)); l.Target != tt.with {
			t.Errorf("%q with its query: %q, want %q", tt.target, l.Target, tt.with)
		}
		text := printed(t, Options{}, q)
		if !strings.Contains(text, "GET "+tt.without+" 200 ") {
			t.Errorf("%q: %s", tt.target, text)
		}
		if text := printed(t, Options{Query: true}, q); !strings.Contains(text, "GET "+tt.with+" 200 ") {
			t.Errorf("%q with its query: %s", tt.target, text)
		}
	}
}

// Where the end of the authority was not captured, all of it may be a password.
func TestCutTarget(t *testing.T) {
	for target, want := range map[string]string{
		"http://user:passw": "http://",
		"http://user:p@ss":  "http://",
		"http://h/pa":       "http://h/pa",
		"http:/":            "http:/",
		"/pa":               "/pa",
	} {
		q := request(func(q *events.Request) { q.Target, q.Flags = []byte(target), events.FlagTargetCut })
		if l, _ := parse(t, printed(t, Options{JSON: true, Query: true}, q)); l.Target != want {
			t.Errorf("%q: %q, want %q", target, l.Target, want)
		}
	}
}

func TestEndpoints(t *testing.T) {
	tests := []struct {
		name string
		conn *events.Conn
		want [2]string
	}{
		{"IPv4", v4(), [2]string{"10.0.0.1:8080", "192.168.1.20:51234"}},
		{"IPv6", v6(), [2]string{"[2001::1]:443", "[::ffff:10.0.0.9]:6"}},
		{"Unix", &events.Conn{Family: events.FamilyUnix}, [2]string{"unix", "unix"}},
		{"unknown", &events.Conn{}, [2]string{"unknown", "unknown"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := request(func(q *events.Request) { q.Conn = tt.conn })
			l, _ := parse(t, printed(t, Options{JSON: true}, q))
			if got := [2]string{l.Local, l.Remote}; got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if text := printed(t, Options{}, q); !strings.HasSuffix(text, " "+tt.want[1]+"\n") {
				t.Errorf("text: %s", text)
			}
		})
	}
}

// The first byte is told where it is not the last one, too.
func TestFirstByteIsLeftOut(t *testing.T) {
	for ttfb, want := range map[time.Duration]bool{0: false, time.Millisecond: true, 12345678: false} {
		line := printed(t, Options{}, request(func(q *events.Request) { q.TTFB = ttfb }))
		if strings.Contains(line, " ttfb=") != want {
			t.Errorf("first byte after %v of 12.345678ms: %s", ttfb, line)
		}
	}
}

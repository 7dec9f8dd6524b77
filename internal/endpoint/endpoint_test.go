// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/internal/testutil"
	"probe/pkg/events"
	"probe/pkg/stats"
)

func TestMain(m *testing.M) { testutil.Main(m) }

// fakeSource is what a test says it is.
type fakeSource struct {
	alive, ready, reset error
	resets              int
	metrics             Metrics
	// hold keeps State from answering, until closed.
	hold, held chan struct{}
}

func (f *fakeSource) Alive() error                    { return f.alive }
func (f *fakeSource) Ready() error                    { return f.ready }
func (f *fakeSource) Metrics(context.Context) Metrics { return f.metrics }

func (f *fakeSource) State(context.Context) any {
	if f.hold != nil {
		f.held <- struct{}{}
		<-f.hold
	}
	return map[string]int{"pid": 7}
}

func (f *fakeSource) Reset(context.Context) error {
	f.resets++
	return f.reset
}

func handler(f *fakeSource, o Options) http.Handler {
	o.Log = slog.New(slog.DiscardHandler)
	return New(f, o).Handler()
}

func TestAnswers(t *testing.T) {
	stuck := errors.New("reader is stuck for 12s")
	for name, test := range map[string]struct {
		source  fakeSource
		pprof   bool
		anyName bool
		method  string
		target  string
		host    string
		from    string
		headers map[string]string
		status  int
		body    string
	}{
		"alive":               {target: "/healthz", status: 200, body: "ok\n"},
		"not alive":           {source: fakeSource{alive: stuck}, target: "/healthz", status: 503, body: "reader is stuck for 12s\n"},
		"ready":               {target: "/readyz", status: 200, body: "ok\n"},
		"not ready":           {source: fakeSource{ready: stuck}, target: "/readyz", status: 503, body: "reader is stuck for 12s\n"},
		"alive but not ready": {source: fakeSource{ready: stuck}, target: "/healthz", status: 200, body: "ok\n"},
		"head":                {method: "HEAD", target: "/healthz", status: 200},
		"state":               {target: "/debug/state", status: 200, body: "{\n  \"pid\": 7\n}\n"},
		"nothing there":       {target: "/", status: 404},
		"write":               {method: "POST", target: "/metrics", status: 405},
		"no pprof":            {target: "/debug/pprof/", status: 404},
		"no profile":          {target: "/debug/pprof/heap", status: 404},
		"pprof":               {pprof: true, target: "/debug/pprof/cmdline", status: 200},
		"heap":                {pprof: true, target: "/debug/pprof/heap", status: 200},
		"reset":               {method: "POST", target: "/-/reset", headers: map[string]string{ResetHeader: "1"}, status: 200, body: "ok\n"},
		"reset by IPv6":       {method: "POST", target: "/-/reset", from: "[::1]:999", headers: map[string]string{ResetHeader: "1"}, status: 200},
		"reset from afar":     {method: "POST", target: "/-/reset", from: "192.0.2.1:999", headers: map[string]string{ResetHeader: "1"}, status: 403},
		"reset by a form":     {method: "POST", target: "/-/reset", status: 403},
		"reset by a link":     {method: "GET", target: "/-/reset", headers: map[string]string{ResetHeader: "1"}, status: 405},
		"reset fails":         {source: fakeSource{reset: stuck}, method: "POST", target: "/-/reset", headers: map[string]string{ResetHeader: "1"}, status: 503},
		"localhost":           {target: "/healthz", host: "localhost:9102", status: 200},
		"IPv6":                {target: "/healthz", host: "[::1]:9102", status: 200},
		"name of a service":   {target: "/healthz", host: "probe:9102", status: 200},
		"a domain":            {target: "/healthz", host: "evil.example.com:9102", status: 421},
		"a domain, public":    {anyName: true, target: "/healthz", host: "probe.monitoring.svc:9102", status: 200},
		"a domain with dot":   {target: "/healthz", host: "evil.:9102", status: 421},
	} {
		t.Run(name, func(t *testing.T) {
			method := test.method
			if method == "" {
				method = "GET"
			}
			r := httptest.NewRequest(method, test.target, nil)
			r.Host, r.RemoteAddr = "127.0.0.1:9102", "127.0.0.1:40000"
			if test.host != "" {
				r.Host = test.host
			}
			if test.from != "" {
				r.RemoteAddr = test.from
			}
			for k, v := range test.headers {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			handler(&test.source, Options{Pprof: test.pprof, AnyName: test.anyName}).ServeHTTP(w, r)
			if w.Code != test.status || (test.body != "" && w.Body.String() != test.body) {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, test.status, test.body)
			}
			if reset := test.source.resets > 0; reset != (test.target == "/-/reset" && (test.status == 200 || test.status == 503)) {
				t.Errorf("reset called: %v", reset)
			}
		})
	}
}

func sampleMetrics() Metrics {
	r := stats.New(stats.Options{})
	for _, status := range []uint16{200, 200, 503} {
		q := events.Request{Role: events.RoleServer, Status: status, RequestBytes: 10, ResponseBytes: 20, Duration: time.Second}
		if status == 503 {
			q.Outcome = events.OutcomeError
		}
		r.Record(&q)
	}
	return Metrics{
		Version: "v1", Complete: true, Source: "socket", ByRole: r.Totals().ByRole, Series: 2,
		Self:   []Counter{{"kernel.dropped.ring_full", 5}, {"kernel.dropped.no_state", 6}, {"stats.requests", 3}, {"a-b.c.d.e", 1}, {"plain", 2}},
		Export: &Export{Connected: true, QueueBytes: 100, QueueLines: 3, LastSuccess: time.Unix(1000, 5e8)},
		Programs: []Program{
			{Name: "http_sock_send", Attached: true, Measured: true, Runs: 9, RunTime: 1500 * time.Millisecond},
			{Name: "http_arrival"},
		},
		Parts: []Part{{Name: "pipeline"}, {Name: "exporter", Stuck: true, Restarts: 2}},
		Saved: time.Unix(2000, 0),
	}
}

// What Prometheus reads, less what the Go runtime says of itself.
func TestMetrics(t *testing.T) {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Host = "localhost"
	handler(&fakeSource{metrics: sampleMetrics()}, Options{}).ServeHTTP(w, r)
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var own []string
	runtime := false
	for line := range strings.Lines(w.Body.String()) {
		if strings.Contains(line, "probe_") {
			own = append(own, line)
		}
		runtime = runtime || strings.HasPrefix(line, "go_goroutines ")
	}
	if !runtime {
		t.Error("nothing about the Go runtime")
	}
	testutil.Golden(t, "metrics.golden", []byte(strings.Join(own, "")))
}

// A name that is no UTF-8 does not spoil the answer.
func TestMetricsOfAnyBytes(t *testing.T) {
	m := sampleMetrics()
	m.Version, m.Source = "v\xff", "\x00\n\"\\"
	m.Self = []Counter{{"x\xff\n.y z.\xfe\n\"", 1}, {"", 1}, {"..", 2}}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/metrics", nil)
	r.Host = "localhost"
	handler(&fakeSource{metrics: m}, Options{}).ServeHTTP(w, r)
	if w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestCheckAddress(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:9102": "", "127.1.2.3:0": "", "[::1]:9102": "", "localhost:9102": "", "[::ffff:127.0.0.1]:1": "",
		"0.0.0.0:9102": "public", ":9102": "public", "[::]:9102": "public", "192.0.2.1:80": "public", "[fe80::1]:80": "public",
		"": "bad", "9102": "bad", "127.0.0.1": "bad", "127.0.0.1:http": "bad", "127.0.0.1:65536": "bad", "127.0.0.1:-1": "bad", "example.com:80": "bad",
	} {
		err := CheckAddress(address)
		got := "bad"
		if err == nil {
			got = ""
		} else if errors.Is(err, ErrPublic) {
			got = "public"
		}
		if got != want {
			t.Errorf("%q: %v, want %q", address, err, want)
		}
	}
}

// served runs a server on loopback until the test ends.
func served(t *testing.T, f *fakeSource) (*Server, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(f, Options{Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("serve: %v", err)
		}
	})
	return s, listener.Addr().String()
}

// More requests at a time than there are places are refused and counted.
func TestRequestsAreBounded(t *testing.T) {
	f := &fakeSource{hold: make(chan struct{}), held: make(chan struct{}, maxRequests)}
	s, address := served(t, f)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var statuses []int
	var mu sync.Mutex
	var all sync.WaitGroup
	get := func(path string) {
		response, err := client.Get("http://" + address + path)
		if err != nil {
			t.Error(err)
			return
		}
		response.Body.Close()
		mu.Lock()
		statuses = append(statuses, response.StatusCode)
		mu.Unlock()
	}
	for range maxRequests {
		all.Go(func() { get("/debug/state") })
	}
	for range maxRequests {
		<-f.held
	}
	get("/healthz")
	close(f.hold)
	all.Wait()
	want := append([]int{503}, slices.Repeat([]int{200}, maxRequests)...)
	if diff := cmp.Diff(want, statuses); diff != "" || s.Refused() != 1 {
		t.Errorf("statuses (-want +got):\n%s%d refused, want 1", diff, s.Refused())
	}
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// A head that is too long is refused, and a connection that sends none is
// closed in the end: here, at the end of the server.
func TestHeadIsBounded(t *testing.T) {
	_, address := served(t, &fakeSource{})
	long := dial(t, address)
	fmt.Fprintf(long, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", strings.Repeat("x", 2*maxHeaderBytes))
	answer := make([]byte, 12)
	if _, err := io.ReadFull(long, answer); err != nil || string(answer) != "HTTP/1.1 431" {
		t.Errorf("%q, %v, want 431", answer, err)
	}
	fmt.Fprint(dial(t, address), "GET /healthz HTTP/1.1\r\nHost: loc")
}

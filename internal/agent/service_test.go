// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"probe/internal/agent"
	"probe/internal/testutil"
)

// loopback lets the system choose the port of an endpoint.
const loopback = "127.0.0.1:0"

// logged waits for a line of the agent's log with this message and returns its
// attributes.
func (r *running) logged(message string) map[string]any {
	r.t.Helper()
	for range 1000 {
		for line := range strings.Lines(r.log.String()) {
			var attrs map[string]any
			if json.Unmarshal([]byte(line), &attrs) == nil && attrs["msg"] == message {
				return attrs
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.t.Fatalf("nothing about %q in the log", message)
	return nil
}

// address of the endpoint.
func (r *running) address() string {
	r.t.Helper()
	address, _ := r.logged("endpoint")["address"].(string)
	return address
}

func get(t *testing.T, address, path string) (int, string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	response, err := client.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// sample returns the value of a metric of Prometheus, -1 without.
func sample(text, metric string) float64 {
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, metric+" "); found {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err == nil {
				return v
			}
		}
	}
	return -1
}

// The endpoint shows what the child did, and what the kernel says.
func TestEndpoint(t *testing.T) {
	testutil.CheckFDs(t)
	const n = 50
	c, s := startChild(t), newSink(t)
	r := start(t, agent.Options{
		Statsd: s.target(), PIDs: []uint32{c.pid}, Interval: agent.MinInterval,
		Listen: loopback, Pprof: true, StateDir: t.TempDir(), Version: "v7",
	})
	address := r.address()
	c.request(n)
	s.await(requests, n)
	for _, path := range []string{"/healthz", "/readyz"} {
		if status, text := get(t, address, path); status != 200 || text != "ok\n" {
			t.Errorf("%s: %d %q", path, status, text)
		}
	}
	_, metrics := get(t, address, "/metrics")
	for metric, want := range map[string]float64{
		`probe_http_requests_total{outcome="ok",role="server"}`:     n - n/10,
		`probe_http_requests_total{outcome="error",role="server"}`:  n / 10,
		`probe_http_errors_total{role="server"}`:                    n / 10,
		`probe_exchange_finished_total`:                             n,
		`probe_stats_requests_total`:                                n,
		`probe_stats_series_overflowed_total`:                       0,
		`probe_kernel_dropped_total{reason="ring_full"}`:            0,
		`probe_bpf_program_attached{program="http_arrival"}`:        1,
		`probe_export_connected`:                                    1,
		`probe_pipeline_answers`:                                    1,
		`probe_part_stuck{part="pipeline"}`:                         0,
		`probe_build_info{source="` + source(r) + `",version="v7"}`: 1,
	} {
		if got := sample(metrics, metric); got != want {
			t.Errorf("%s: %v, want %v", metric, got, want)
		}
	}
	for _, metric := range []string{"probe_export_lines_sent_total", "probe_series", "probe_state_saved_timestamp_seconds", "probe_state_saves_total"} {
		if got := sample(metrics, metric); got < 1 {
			t.Errorf("%s: %v, want more", metric, got)
		}
	}
	_, text := get(t, address, "/debug/state")
	var d agent.Description
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if d.PID != os.Getpid() || d.Version != "v7" || !d.Answers || len(d.Problems) > 0 || d.Summary.Finished+d.Summary.Failed != n ||
		d.Requests["server"].Requests != n || d.Counters["kernel.requests_seen"] != n || len(d.Programs) < 5 || d.State == nil {
		t.Errorf("state: %s", text)
	}
	if status, _ := get(t, address, "/debug/pprof/goroutine"); status != 200 {
		t.Errorf("pprof: %d", status)
	}
	r.stop()
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("the endpoint is there after the end")
	}
}

func source(r *running) string {
	s, _ := r.logged("attached")["source"].(string)
	return s
}

// Nobody receives the lines: alive, but not ready, and it says why.
func TestEndpointNotReady(t *testing.T) {
	nobody := newSink(t)
	nobody.conn.Close()
	c := startChild(t)
	r := start(t, agent.Options{Statsd: nobody.target(), PIDs: []uint32{c.pid}, Interval: agent.MinInterval, Listen: loopback})
	address := r.address()
	var status int
	var text string
	for range 500 {
		c.request(1)
		if status, text = get(t, address, "/readyz"); status != 200 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if status != 503 || !strings.Contains(text, "statsd receiver not reached") {
		t.Errorf("ready: %d %q", status, text)
	}
	if status, text := get(t, address, "/healthz"); status != 200 {
		t.Errorf("alive: %d %q", status, text)
	}
	r.cancel()
	<-r.result
}

func TestEndpointAddressTaken(t *testing.T) {
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
	testutil.CheckFDs(t)
	taken, err := net.Listen("tcp", loopback)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	err = agent.Run(t.Context(), plainOptions(agent.Options{Listen: taken.Addr().String()}))
	if !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("%v, want address in use", err)
	}
}

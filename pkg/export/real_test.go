// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"probe/internal/testutil"
)

// Receivers that run here for real. scripts/install-test-deps.sh installs them.

// toolDir holds them, seen from here.
const toolDir = "../../bin/test-tools"

func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(toolDir, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run scripts/install-test-deps.sh", err)
	}
	return path
}

// startProcess runs a receiver until the test ends; its output is shown if the
// test fails.
func startProcess(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed: an error
		if t.Failed() {
			t.Logf("%s says:\n%s", filepath.Base(name), log.String())
		}
	})
}

func local(scheme Scheme, port uint16) Target {
	return Target{Scheme: scheme, Host: "127.0.0.1", Port: port}
}

// etsy is the first statsd, with a backend that keeps the sums in a file.
type etsy struct {
	exact
	dump string
}

func TestRealEtsyStatsd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	port, admin := testutil.FreePort(t), testutil.FreePort(t)
	socket := filepath.Join(dir, "s")
	backend, err := filepath.Abs("testdata/dump.js")
	if err != nil {
		t.Fatal(err)
	}
	r := etsy{dump: filepath.Join(dir, "dump.json")}
	config, err := json.Marshal(map[string]any{
		"port": port, "address": "127.0.0.1", "mgmt_port": admin, "mgmt_address": "127.0.0.1", "flushInterval": 100,
		"servers": []any{
			map[string]any{"server": "./servers/udp", "address": "127.0.0.1", "port": port},
			map[string]any{"server": "./servers/tcp", "address": "127.0.0.1", "port": port},
			map[string]any{"server": "./servers/tcp", "socket": socket},
		},
		"backends": []string{backend}, "dump": r.dump,
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.js")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	startProcess(t, "node", tool(t, "etsy/node_modules/statsd/stats.js"), path)
	untilReady(t, "statsd", func(context.Context) error { _, err := os.Stat(r.dump); return err })
	var runs []realRun
	for _, dialect := range []Dialect{Plain, Graphite, DogStatsD} {
		for _, target := range []Target{local(UDP, port), local(TCP, port), {Scheme: Unix, Path: socket}} {
			runs = append(runs, realRun{dialect, target, 4})
		}
	}
	checkRuns(t, r, runs)
	if bad := r.load(t).Counters["statsd.bad_lines_seen"]; bad != 0 {
		t.Errorf("statsd saw %v bad lines", bad)
	}
}

// etsyDump is what testdata/dump.js writes.
type etsyDump struct {
	Counters    map[string]float64
	Gauges      map[string]float64
	Timers      map[string][]float64
	TimerCounts map[string]float64 `json:"timer_counts"`
}

func (r etsy) load(t *testing.T) etsyDump {
	t.Helper()
	b, err := os.ReadFile(r.dump)
	if err != nil {
		t.Fatal(err)
	}
	var d etsyDump
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (r etsy) read(t *testing.T, prefix string) truth {
	d, got := r.load(t), newTruth()
	for name, n := range d.Counters {
		if k, ours := etsyKey(name, prefix); ours {
			got.Counters[k] = n
		}
	}
	for name, n := range d.Gauges {
		if k, ours := etsyKey(name, prefix); ours {
			got.Gauges[k] = n
		}
	}
	for name, values := range d.Timers {
		k, ours := etsyKey(name, prefix)
		for _, ms := range values {
			if ours { // all values of a name have one rate
				got.timing(k, ms, d.TimerCounts[name]/float64(len(values)))
			}
		}
	}
	return got
}

// etsyKey reads name;tag=value;… or a plain name.
func etsyKey(name, prefix string) (k string, ours bool) {
	rest, ours := strings.CutPrefix(name, prefix+".")
	if !ours {
		return "", false
	}
	metric, list, tagged := strings.Cut(rest, ";")
	if !tagged {
		return plainKey(rest), ours
	}
	tags := map[string]string{}
	for tag := range strings.SplitSeq(list, ";") {
		name, value, _ := strings.Cut(tag, "=")
		tags[name] = value
	}
	return key(metric, tags), ours
}

// statsdExporter is Prometheus's; it counts every line it does not like.
type statsdExporter struct {
	exact
	url string
}

func TestRealStatsdExporter(t *testing.T) {
	t.Parallel()
	port, web := testutil.FreePort(t), testutil.FreePort(t)
	socket := filepath.Join(t.TempDir(), "s")
	r := statsdExporter{url: fmt.Sprintf("http://127.0.0.1:%d", web)}
	startProcess(t, tool(t, "statsd_exporter"),
		fmt.Sprintf("--web.listen-address=127.0.0.1:%d", web), fmt.Sprintf("--statsd.listen-udp=127.0.0.1:%d", port),
		fmt.Sprintf("--statsd.listen-tcp=127.0.0.1:%d", port), "--statsd.listen-unixgram="+socket)
	untilReady(t, "statsd_exporter", func(ctx context.Context) error { _, err := get(ctx, r.url+"/-/healthy"); return err })
	var runs []realRun
	for _, dialect := range []Dialect{Plain, DogStatsD, DogStatsD11, Influx, SignalFx, Librato} {
		for _, target := range []Target{local(UDP, port), local(TCP, port), {Scheme: Unixgram, Path: socket}} {
			runs = append(runs, realRun{dialect, target, 4})
		}
	}
	checkRuns(t, r, runs)
	for _, s := range r.samples(t) {
		for _, bad := range []string{"sample_errors_total", "tag_errors_total", "events_error_total", "events_conflict_total", "too_long_lines_total"} {
			if strings.HasPrefix(s.name, "statsd_exporter_") && strings.HasSuffix(s.name, bad) && s.value != 0 {
				t.Errorf("%s%v = %v", s.name, s.labels, s.value)
			}
		}
	}
}

func get(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	body, err := io.ReadAll(response.Body)
	err = errors.Join(err, response.Body.Close())
	if response.StatusCode != http.StatusOK {
		err = errors.Join(err, errors.New(response.Status))
	}
	return string(body), err
}

// promSample is a line of Prometheus's text format.
type promSample struct {
	name   string
	labels map[string]string
	value  float64
}

func parsePrometheus(t *testing.T, text string) (all []promSample) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		at := strings.LastIndexByte(line, ' ')
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		name, list, _ := strings.Cut(strings.TrimSuffix(line[:at], "}"), "{")
		labels := map[string]string{}
		for label := range strings.SplitSeq(list, `",`) {
			if name, value, found := strings.Cut(label, `="`); found {
				labels[name] = strings.TrimSuffix(value, `"`)
			}
		}
		all = append(all, promSample{name, labels, value})
	}
	return all
}

func (r statsdExporter) samples(t *testing.T) []promSample {
	t.Helper()
	text, err := get(context.Background(), r.url+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	return parsePrometheus(t, text)
}

func (r statsdExporter) knows(want timerTruth) timerTruth {
	return timerTruth{Count: want.Count, Sum: want.Sum}
}

// It adds up floats, in seconds.
func (r statsdExporter) precision() (fraction, margin float64) { return 1e-9, 1e-6 }

func (r statsdExporter) read(t *testing.T, prefix string) truth {
	got := newTruth()
	for _, s := range r.samples(t) {
		name, ours := strings.CutPrefix(s.name, prefix+"_")
		if !ours || s.labels["quantile"] != "" {
			continue
		}
		k := promKey(name, s.labels)
		switch {
		case strings.HasSuffix(name, "_sum"):
			timer := got.Timers[promKey(strings.TrimSuffix(name, "_sum"), s.labels)]
			timer.Sum = s.value * 1000
			got.Timers[promKey(strings.TrimSuffix(name, "_sum"), s.labels)] = timer
		case strings.HasSuffix(name, "_count"):
			timer := got.Timers[promKey(strings.TrimSuffix(name, "_count"), s.labels)]
			timer.Count = s.value
			got.Timers[promKey(strings.TrimSuffix(name, "_count"), s.labels)] = timer
		case strings.HasSuffix(name, "in_flight"):
			got.Gauges[k] = s.value
		default:
			got.Counters[k] = s.value
		}
	}
	return got
}

// promKey reads a name whose dots have become '_'; the words of a plain one
// have none in this test.
func promKey(name string, labels map[string]string) string {
	if len(labels) > 0 || strings.HasPrefix(name, "self_") {
		return key(name, labels)
	}
	part := strings.SplitN(name, "_", 8) // host_service_http_server_route_GET_status_metric
	if len(part) < 8 {
		part = strings.SplitN(name, "_", 5) // host_service_http_server_metric
	}
	return plainKey(strings.Join(part, "."))
}

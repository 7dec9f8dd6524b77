// SPDX-License-Identifier: Apache-2.0

//go:build receivers

package export

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"probe/internal/testutil"
)

// Receivers that are too large for every run: make test-receivers.

func writeConfig(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// collectd reads UDP and no tags; its csv plugin keeps every value.
type collectd struct {
	exact
	dir string
}

func TestRealCollectd(t *testing.T) {
	dir := t.TempDir()
	port := testutil.FreePort(t)
	config := writeConfig(t, "collectd.conf", fmt.Sprintf(`
BaseDir "%[1]s"
PIDFile "%[1]s/pid"
PluginDir "/usr/lib/collectd"
TypesDB "/usr/share/collectd/types.db"
Hostname "vm"
Interval 0.2
LoadPlugin statsd
<Plugin statsd>
  Host "127.0.0.1"
  Port "%[2]d"
  TimerSum true
  TimerCount true
  TimerUpper true
  DeleteTimers true
</Plugin>
LoadPlugin csv
<Plugin csv>
  DataDir "%[1]s/csv"
</Plugin>
`, dir, port))
	startProcess(t, "collectd", "-f", "-C", config)
	untilReady(t, "collectd", func(context.Context) error { return udpOpen(port) })
	// It multiplies the value of a timing, not its weight, by 1/rate: every 1.
	checkRuns(t, collectd{dir: filepath.Join(dir, "csv", "vm", "statsd")}, []realRun{{Plain, local(UDP, port), 1}})
}

// udpOpen reports whether somebody has bound the port.
func udpOpen(port uint16) error {
	table, err := os.ReadFile("/proc/net/udp")
	if err != nil {
		return err
	}
	if !strings.Contains(string(table), fmt.Sprintf("0100007F:%04X ", port)) {
		return fmt.Errorf("port %d is not bound", port)
	}
	return nil
}

// It takes whole milliseconds and leaves out what is 0 then.
func (r collectd) reads(ms float64) (float64, bool) { return math.Floor(ms), ms >= 1 }

func (r collectd) read(t *testing.T, prefix string) truth {
	t.Helper()
	got := newTruth()
	files, err := filepath.Glob(filepath.Join(r.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		kind, name, _ := strings.Cut(filepath.Base(file), "-")
		name = name[:len(name)-len("-2006-01-02")]
		name, ours := strings.CutPrefix(name, prefix+".")
		if !ours {
			continue
		}
		last, sum, most := csvFigures(t, file)
		base, what, _ := strings.Cut(name, "-")
		timer := got.Timers[plainKey(base)]
		switch {
		case kind == "derive":
			got.Counters[plainKey(name)] = last
			continue
		case kind == "gauge" && what == "":
			got.Gauges[plainKey(name)] = last
			continue
		case kind == "gauge" && what == "count":
			timer.Count = sum
		case what == "sum":
			timer.Sum = 1000 * sum
		case what == "upper":
			timer.Max = 1000 * most
		default:
			continue
		}
		got.Timers[plainKey(base)] = timer
	}
	return got
}

func csvFigures(t *testing.T, file string) (last, sum, most float64) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		_, value, _ := strings.Cut(strings.TrimSpace(line), ",")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(v) { // the heading; an interval without values
			continue
		}
		last, sum, most = v, sum+v, max(most, v)
	}
	return last, sum, most
}

// netdata reads UDP and TCP and no tags. Of a timer it tells the largest value,
// with three decimals.
type netdata struct {
	exact
	url string
}

func TestRealNetdata(t *testing.T) {
	dir := t.TempDir()
	port, web := testutil.FreePort(t), testutil.FreePort(t)
	config := writeConfig(t, "netdata.conf", fmt.Sprintf(`
[global]
  run as user = root
[directories]
  cache = %[1]s
  lib = %[1]s
  log = %[1]s
  config = %[1]s
  home = %[1]s
[db]
  mode = ram
  update every = 1
[ml]
  enabled = no
[health]
  enabled = no
[plugins]
  timex = no
  tc = no
  idlejitter = no
  cgroups = no
  proc = no
  diskspace = no
  checks = no
  enable running new plugins = no
  statsd = yes
[statsd]
  bind to = udp:127.0.0.1:%[2]d tcp:127.0.0.1:%[2]d
[web]
  bind to = 127.0.0.1:%[3]d
`, dir, port, web))
	startProcess(t, "netdata", "-D", "-c", config)
	untilReady(t, "netdata", func(ctx context.Context) error {
		if err := udpOpen(port); err != nil {
			return err
		}
		_, err := get(ctx, fmt.Sprintf("http://127.0.0.1:%d/api/v1/info", web))
		return err
	})
	checkRuns(t, netdata{url: fmt.Sprintf("http://127.0.0.1:%d/api/v1", web)},
		[]realRun{{Plain, local(UDP, port), 1}, {Plain, local(TCP, port), 1}})
}

func (r netdata) knows(want timerTruth) timerTruth { return timerTruth{Max: want.Max} }

// It keeps seven digits, and three decimals of a timing.
func (r netdata) precision() (fraction, margin float64) { return 1e-6, 1e-3 }

func (r netdata) fetch(t *testing.T, path string, into any) {
	t.Helper()
	text, err := get(context.Background(), r.url+path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %.200q", err, text)
	}
}

func (r netdata) read(t *testing.T, prefix string) truth {
	t.Helper()
	var charts struct{ Charts map[string]struct{} }
	r.fetch(t, "/charts", &charts)
	got := newTruth()
	for chart := range charts.Charts {
		name, ours := strings.CutPrefix(chart, "statsd_"+prefix+".")
		at := strings.LastIndexByte(name, '_')
		if !ours || at < 0 {
			continue
		}
		k := plainKey(strings.Replace(name[:at], ".get.", ".GET.", 1)) // its names are lower case
		var data struct {
			Labels []string
			Data   [][]float64
		}
		r.fetch(t, "/data?after=-600&options=null2zero&chart="+chart, &data)
		for i, row := range data.Data { // the newest first
			switch name[at+1:] {
			case "counter": // spread over two seconds, with the right sum
				got.Counters[k] += row[1]
			case "gauge":
				if i == 0 {
					got.Gauges[k] = row[1]
				}
			case "timer":
				got.Timers[k] = timerTruth{Max: max(got.Timers[k].Max, row[2])}
			}
		}
	}
	return got
}

// telegraf has DogStatsD's tags and those of Influx.
type telegraf struct {
	exact
	file string
}

func TestRealTelegraf(t *testing.T) {
	path := tool(t, "telegraf")
	udp, tcp := testutil.FreePort(t), testutil.FreePort(t)
	file := filepath.Join(t.TempDir(), "out")
	config := writeConfig(t, "telegraf.conf", fmt.Sprintf(`
[agent]
  interval = "200ms"
  flush_interval = "200ms"
  round_interval = false
  omit_hostname = true
[[inputs.statsd]]
  protocol = "udp"
  service_address = "127.0.0.1:%d"
  datadog_extensions = true
[[inputs.statsd]]
  protocol = "tcp"
  service_address = "127.0.0.1:%d"
  # With several, lines overtake each other, and the -5 of a gauge its 0.
  number_workers_threads = 1
  datadog_extensions = true
[[outputs.file]]
  files = ["%s"]
  data_format = "influx"
`, udp, tcp, file))
	startProcess(t, path, config)
	untilReady(t, "telegraf", func(context.Context) error { return udpOpen(udp) })
	var runs []realRun
	for _, dialect := range []Dialect{Plain, DogStatsD, Influx} {
		runs = append(runs, realRun{dialect, local(UDP, udp), 4}, realRun{dialect, local(TCP, tcp), 4})
	}
	checkRuns(t, telegraf{file: file}, runs)
}

// read takes lines of name,tag=value,… field=number,… time.
func (r telegraf) read(t *testing.T, prefix string) truth {
	t.Helper()
	b, err := os.ReadFile(r.file)
	if err != nil {
		t.Fatal(err)
	}
	got := newTruth()
	for line := range strings.Lines(string(b)) {
		part := strings.Split(strings.TrimSpace(line), " ")
		name, list, _ := strings.Cut(part[0], ",")
		name, ours := strings.CutPrefix(name, prefix+"_")
		if !ours || len(part) != 3 {
			continue
		}
		tags, fields := pairs(list), pairs(part[1])
		kind := tags["metric_type"]
		delete(tags, "metric_type")
		k := promKey(name, tags)
		number := func(field string) float64 {
			v, err := strconv.ParseFloat(strings.TrimSuffix(fields[field], "i"), 64)
			if err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			return v
		}
		switch kind {
		case "counter":
			got.Counters[k] += number("value")
		case "gauge":
			got.Gauges[k] = number("value")
		case "timing":
			timer := got.Timers[k]
			got.Timers[k] = timerTruth{timer.Count + number("count"), timer.Sum + number("sum"), max(timer.Max, number("upper"))}
		}
	}
	return got
}

func pairs(list string) map[string]string {
	all := map[string]string{}
	for pair := range strings.SplitSeq(list, ",") {
		if name, value, found := strings.Cut(pair, "="); found {
			all[name] = value
		}
	}
	return all
}

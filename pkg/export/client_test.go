// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"context"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func newClient(t testing.TB, opt Options) *Client {
	t.Helper()
	if opt.Now == nil {
		opt.Now = since()
	}
	c, err := NewClient(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestClientVerbs(t *testing.T) {
	t.Parallel()
	tests := map[Dialect][]string{
		Plain: {
			"app.vm.orders:1|c", "app.vm.orders:-2|c", "app.vm.temp:21.5|g", "app.vm.temp:0|g", "app.vm.temp:-3|g",
			"app.vm.temp:+4|g", "app.vm.temp:-0.5|g", "app.vm.db:1.5|ms", "app.vm.wait:250|ms", "app.vm.users:ann-7|s", "app.vm.eu_1.orders:1|c",
		},
		Influx: {
			"app.orders,host=vm:1|c", "app.orders,host=vm:-2|c", "app.temp,host=vm:21.5|g", "app.temp,host=vm:0|g", "app.temp,host=vm:-3|g",
			"app.temp,host=vm:+4|g", "app.temp,host=vm:-0.5|g", "app.db,host=vm:1.5|ms", "app.wait,host=vm:250|ms", "app.users,host=vm:ann-7|s", "app.orders,host=vm,zone=eu-1:1|c",
		},
		DogStatsD: {
			"app.orders:1|c|#host:vm", "app.orders:-2|c|#host:vm", "app.temp:21.5|g|#host:vm", "app.temp:0|g|#host:vm", "app.temp:-3|g|#host:vm",
			"app.db:1.5|ms|#host:vm", "app.wait:250|ms|#host:vm", "app.users:ann-7|s|#host:vm", "app.orders:1|c|#host:vm,zone:eu-1",
		},
	}
	for dialect, want := range tests {
		t.Run(string(dialect), func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			clock := &lockedClock{}
			c := newClient(t, Options{Stdout: &out, Prefix: "app", Host: "vm", Dialect: dialect, Now: clock.now})
			must(t, c.Incr("orders", 1), c.Decr("orders", 2), c.Gauge("temp", 21.5), c.Gauge("temp", -3))
			for _, delta := range []float64{4, -0.5} {
				if err := c.GaugeDelta("temp", delta); dialect.Datadog() != errors.Is(err, ErrNoDelta) {
					t.Error(err)
				}
			}
			must(t, c.Timing("db", 1500*time.Microsecond))
			stop := c.Timer("wait")
			clock.advance(250 * time.Millisecond)
			if d, err := stop(); d != 250*time.Millisecond || err != nil {
				t.Errorf("timer = %v, %v", d, err)
			}
			must(t, c.Inject("users", "ann-7", "s"), c.With(Tag{"zone", "eu-1"}, Tag{"bad key", "x"}).Incr("orders", 1), c.Flush())
			if diff := cmp.Diff(strings.Join(want, "\n")+"\n", out.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestClientRefusesWhatIsNoNumber(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := newClient(t, Options{Stdout: &out})
	for name, err := range map[string]error{
		"NaN":         c.Gauge("x", math.NaN()),
		"infinity":    c.Gauge("x", math.Inf(-1)),
		"delta":       c.GaugeDelta("x", math.Inf(1)),
		"no value":    c.Inject("x", "", "c"),
		"two values":  c.Inject("x", "1:2", "c"),
		"a line":      c.Inject("x", "1|c\ny:1", "c"),
		"a type":      c.Inject("x", "1", "x"),
		"a long type": c.Inject("x", "1", "c|@0.1"),
	} {
		if !errors.Is(err, ErrValue) {
			t.Errorf("%s: error = %v", name, err)
		}
	}
	must(t, c.Flush())
	if out.Len() > 0 {
		t.Errorf("sent %q", out.String())
	}
	if _, err := NewClient(Options{Stdout: &out}); err == nil {
		t.Error("no clock is needed")
	}
	if _, err := NewClient(Options{Stdout: &out, Now: since(), Dialect: "morse"}); err == nil || !strings.Contains(err.Error(), "plain, dogstatsd") {
		t.Errorf("error = %v", err)
	}
}

// Lines leave by themselves, without Flush.
func TestClientFlushesByItself(t *testing.T) {
	t.Parallel()
	server := listen(t, "127.0.0.1", 0)
	c := newClient(t, Options{Target: Target{Scheme: UDP, Host: "127.0.0.1", Port: server.port()}})
	for i := range 3 {
		must(t, c.Incr("x", 1))
		server.lines(t, i+1)
	}
}

func TestClosedClient(t *testing.T) {
	t.Parallel()
	p := newPeer(t, Unix)
	c := newClient(t, streamOptions(p.target))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 2500 {
				must(t, c.Incr("n", 1))
			}
		})
	}
	all.Wait()
	must(t, c.Close(context.Background()), c.Close(context.Background()))
	for _, err := range []error{c.Incr("x", 1), c.Gauge("x", -1), c.With().Timing("x", 1)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("error = %v", err)
		}
	}
	p.finish()
	if n := len(p.got()); n != 10_000 || c.Counters().LinesSent != 10_000 {
		t.Errorf("%d lines arrived: %+v", n, c.Counters())
	}
	if s := c.Status(); s.LastSuccess == 0 || s.QueueLines != 0 || s.QueueBytes != 0 {
		t.Errorf("status = %+v", s)
	}
}

// Close comes back when its context ends, and says what is lost.
func TestClientCloseIsBounded(t *testing.T) {
	t.Parallel()
	c, err := NewClient(streamOptions(Target{Scheme: Unix, Path: filepath.Join(t.TempDir(), "nobody")}))
	if err != nil {
		t.Fatal(err)
	}
	must(t, c.Incr("x", 1))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := c.Close(ctx); err == nil || !strings.Contains(err.Error(), "1 lines not delivered") {
		t.Errorf("error = %v", err)
	}
	if got := c.Counters(); got.DroppedClosed != 1 {
		t.Errorf("counters = %+v", got)
	}
	if s := c.Status(); s.Connected || s.LastSuccess != 0 || !strings.Contains(s.Err, "nobody") {
		t.Errorf("status = %+v", s)
	}
}

func TestClientDoesNotAllocate(t *testing.T) {
	c := newClient(t, Options{Stdout: discard{}, Dialect: DogStatsD, Tags: []Tag{{"env", "prod"}}})
	verbs := func() {
		_ = c.Incr("orders", 1)
		_ = c.Gauge("temp", 21.5)
		_ = c.Timing("db", 1500*time.Microsecond)
	}
	verbs()
	if n := testing.AllocsPerRun(5000, verbs); n != 0 {
		t.Errorf("three verbs allocate %v times", n)
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

func FuzzClient(f *testing.F) {
	f.Add("orders", "env", "prod", 1.5, "7")
	f.Add("a\nb:1|c", "k:|", "v,#;=[]\n", -1.5, "1|c")
	f.Add("", "", "", math.Inf(1), "")
	f.Add(strings.Repeat("n.", 300), strings.Repeat("k", 70), strings.Repeat("é", 300), -math.SmallestNonzeroFloat64, "é")
	f.Fuzz(func(t *testing.T, name, key, value string, number float64, injected string) {
		for _, dialect := range dialects() {
			var out bytes.Buffer
			c := newClient(t, Options{Stdout: &out, Dialect: dialect, Tags: []Tag{{"env", "x"}}, Now: func() time.Duration { return 0 }})
			c = c.With(Tag{key, value})
			_ = c.Incr(name, 3)
			_ = c.Gauge(name, number)
			_ = c.Inject(name, injected, "s")
			must(t, c.Flush())
			for line := range strings.Lines(out.String()) {
				name, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
				_, typed, found := strings.Cut(rest, "|")
				if !found || !strings.Contains("c g s", typed[:1]) {
					t.Fatalf("%s: line %q", dialect, line)
				}
				// The rest of the grammar, with a value that strictParse knows.
				p := parseAll(t, []byte(name+":1|c"+typed[1:]+"\n"), dialect)
				if validKey(key) && key != "env" && dialect != Plain && p[0].Tags[key] == "" {
					t.Errorf("%s: the tag is not in %q", dialect, line)
				}
			}
		}
	})
}

// A zero with a sign is neither a relative gauge nor a number with two signs.
func TestClientGaugeOfMinusZero(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := newClient(t, Options{Stdout: &out})
	zero := math.Copysign(0, -1)
	must(t, c.Gauge("x", zero), c.GaugeDelta("x", zero), c.Flush())
	if got := out.String(); got != "probe.x:0|g\nprobe.x:+0|g\n" {
		t.Errorf("lines %q", got)
	}
}

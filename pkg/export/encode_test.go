// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
	"probe/pkg/stats"
)

func newEncoder(t testing.TB, opt EncoderOptions) *Encoder {
	t.Helper()
	e, err := NewEncoder(opt)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// oneSeries is a series with one sampled timing of each kind.
func oneSeries(every uint32) *stats.Series {
	return &stats.Series{
		Key:      stats.Key{Service: "shop", Method: "GET", Route: "/users/{id}", Role: events.RoleServer, Status: 200},
		Counters: stats.Counters{Requests: 7, Errors: 1, RequestBytes: 700, ResponseBytes: 70000},
		Samples: stats.Samples{
			Duration:   []time.Duration{12345678},
			TTFB:       []time.Duration{1500 * time.Microsecond},
			WaitAccept: []time.Duration{0},
			WaitSocket: []time.Duration{1, 2 * time.Second},
			Every:      every,
		},
	}
}

func TestAppendSeries(t *testing.T) {
	t.Parallel()
	client := oneSeries(8)
	client.Role = events.RoleClient
	tests := map[string]struct {
		dialect Dialect
		series  *stats.Series
		want    []string
	}{
		"plain": {Plain, oneSeries(1), []string{
			"probe.web_1.shop.http.server.users_id.GET.200.requests:7|c",
			"probe.web_1.shop.http.server.users_id.GET.200.errors:1|c",
			"probe.web_1.shop.http.server.users_id.GET.200.request_bytes:700|c",
			"probe.web_1.shop.http.server.users_id.GET.200.response_bytes:70000|c",
			"probe.web_1.shop.http.server.users_id.GET.200.duration:12.345678|ms",
			"probe.web_1.shop.http.server.users_id.GET.200.ttfb:1.5|ms",
			"probe.web_1.shop.http.server.users_id.GET.200.wait.accept:0|ms",
			"probe.web_1.shop.http.server.users_id.GET.200.wait.socket:0.000001|ms",
			"probe.web_1.shop.http.server.users_id.GET.200.wait.socket:2000|ms",
		}},
		"dogstatsd sampled": {DogStatsD, client, []string{
			"probe.http.client.requests:7|c|#host:web-1,service:shop,method:GET,route:/users/{id},status:200",
			"probe.http.client.errors:1|c|#host:web-1,service:shop,method:GET,route:/users/{id},status:200",
			"probe.http.client.request_bytes:700|c|#host:web-1,service:shop,method:GET,route:/users/{id},status:200",
			"probe.http.client.response_bytes:70000|c|#host:web-1,service:shop,method:GET,route:/users/{id},status:200",
			"probe.http.client.duration:12.345678|ms|@0.125|#host:web-1,service:shop,method:GET,route:/users/{id},status:200",
			"probe.http.client.ttfb:1.5|ms|@0.125|#host:web-1,service:shop,method:GET,route:/users/{id},status:200",
			"probe.http.client.wait.accept:0|ms|@0.125|#host:web-1,service:shop,method:GET,route:/users/{id},status:200",
			"probe.http.client.wait.socket:0.000001|ms|@0.125|#host:web-1,service:shop,method:GET,route:/users/{id},status:200",
			"probe.http.client.wait.socket:2000|ms|@0.125|#host:web-1,service:shop,method:GET,route:/users/{id},status:200",
		}},
		"zero counters are not sent": {
			Plain,
			&stats.Series{Key: stats.Key{Route: "/"}, Counters: stats.Counters{Requests: 1}},
			[]string{"probe.web_1.unknown.http.unknown.root.unknown.0.requests:1|c"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEncoder(t, EncoderOptions{Dialect: tt.dialect, Host: "web-1"})
			for range 2 { // rendered, then from the cache
				lines := e.AppendSeries(nil, tt.series)
				if diff := cmp.Diff(strings.Join(tt.want, "\n")+"\n", string(lines)); diff != "" {
					t.Error(diff)
				}
				parseAll(t, lines, tt.dialect)
			}
		})
	}
}

// All powers of two that a sampler can reach must be written without exponent
// and read back as the exact rate.
func TestRatesArePlainAndExact(t *testing.T) {
	t.Parallel()
	for _, dialect := range dialects() {
		e := newEncoder(t, EncoderOptions{Dialect: dialect})
		for power := 1; power < 32; power++ {
			s := &stats.Series{Samples: stats.Samples{Duration: []time.Duration{5}, Every: 1 << power}}
			p := parseAll(t, e.AppendSeries(nil, s), dialect)[0]
			if 1/p.Rate != float64(uint64(1)<<power) {
				t.Errorf("%s: rate 1/2^%d comes back as %v", dialect, power, p.Rate)
			}
		}
	}
}

func TestAppendMillis(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0", -1: "0", 1: "0.000001", 10: "0.00001", 999_999: "0.999999", 1_000_000: "1", 1_100_000: "1.1", 1_000_001: "1.000001",
		time.Hour: "3600000", math.MaxInt64: "9223372036854.775807", math.MinInt64: "0",
	} {
		if got := string(appendMillis(nil, d)); got != want {
			t.Errorf("%d ns = %q, want %q", d, got, want)
		}
	}
}

func TestGauges(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		dialect Dialect
		n       int
		want    string
	}{
		"plain":                     {Plain, 3, "p.h.shop.http.server.in_flight:3|g\n"},
		"zero":                      {Plain, 0, "p.h.shop.http.server.in_flight:0|g\n"},
		"negative goes through 0":   {Plain, -5, "p.h.shop.http.server.in_flight:0|g\np.h.shop.http.server.in_flight:-5|g\n"},
		"dogstatsd":                 {DogStatsD, 3, "p.http.server.in_flight:3|g|#host:h,service:shop\n"},
		"dogstatsd goes through 0 ": {DogStatsD, -1, "p.http.server.in_flight:0|g|#host:h,service:shop\np.http.server.in_flight:-1|g|#host:h,service:shop\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEncoder(t, EncoderOptions{Prefix: "p", Host: "h", Dialect: tt.dialect})
			got := e.AppendInFlight(nil, &stats.InFlight{Service: "shop", Role: events.RoleServer, N: tt.n})
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
			parseAll(t, got, tt.dialect)
		})
	}
}

func TestSelfCounters(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		dialect Dialect
		value   stats.SelfValue
		want    string
	}{
		"plain":          {Plain, stats.SelfValue{Name: "drops.ring full", Delta: 4, Total: 9}, "p.self.drops.ring_full:4|c\n"},
		"dogstatsd":      {DogStatsD, stats.SelfValue{Name: "drops.ring", Delta: 4, Total: 9}, "p.self.drops.ring:4|c|#host:h\n"},
		"unchanged":      {Plain, stats.SelfValue{Name: "drops.ring", Total: 9}, ""},
		"empty segments": {Plain, stats.SelfValue{Name: "..a..b.", Delta: 1}, "p.self.a.b:1|c\n"},
		"no name":        {Plain, stats.SelfValue{Delta: 1}, "p.self.unknown:1|c\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEncoder(t, EncoderOptions{Prefix: "p", Host: "h", Dialect: tt.dialect})
			got := e.AppendSelf(nil, &tt.value)
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
			parseAll(t, got, tt.dialect)
		})
	}
}

func TestLongNamesAreCutAndStayDistinct(t *testing.T) {
	t.Parallel()
	long := func(s string) string { return strings.Repeat("abcdefghi/", 40) + s }
	keys := []stats.Key{
		{Service: "shop", Route: long("1"), Method: "GET", Status: 200},
		{Service: "shop", Route: long("2"), Method: "GET", Status: 200},
		{Service: "shop", Route: long("1"), Method: "PROPPATCH", Status: 404},
		{Service: long("1"), Route: long("1"), Method: "GET", Status: 200},
		{Service: long("2"), Route: long("1"), Method: "GET", Status: 200},
		{Service: long("1"), Route: long("1"), Method: long("m"), Status: 200},
	}
	opt := EncoderOptions{Prefix: strings.Repeat("p", 99), Host: long("host")}
	e := newEncoder(t, opt)
	seen := make(map[string]stats.Key)
	for _, k := range keys {
		s := &stats.Series{Key: k, Counters: stats.Counters{ResponseBytes: 1}}
		p := parseAll(t, e.AppendCounts(nil, s), Plain)[0]
		if other, found := seen[p.Name]; found {
			t.Errorf("%+v and %+v share the name %s", k, other, p.Name)
		}
		seen[p.Name] = k
		again := newEncoder(t, opt).AppendCounts(nil, s)
		if got := parseAll(t, again, Plain)[0].Name; got != p.Name {
			t.Errorf("another Encoder cuts %s to %s", p.Name, got)
		}
		if !strings.HasSuffix(p.Name, fmt.Sprintf(".%d.response_bytes", k.Status)) {
			t.Errorf("status or metric was cut from %s", p.Name)
		}
	}
}

func TestCacheIsBoundedAndForgets(t *testing.T) {
	t.Parallel()
	e := newEncoder(t, EncoderOptions{MaxCached: 3})
	series := func(i int) *stats.Series {
		return &stats.Series{
			Key: stats.Key{Service: "s", Route: fmt.Sprintf("/%d", i)}, Counters: stats.Counters{Requests: 1},
		}
	}
	for i := range 10 {
		want := fmt.Sprintf("probe.unknown.s.http.unknown.%d.unknown.0.requests:1|c\n", i)
		if got := string(e.AppendSeries(nil, series(i))); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if len(e.cache) != 3 {
		t.Errorf("%d series cached, want 3", len(e.cache))
	}
	for range keepIntervals + 1 {
		e.AppendSeries(nil, series(0))
		e.EndInterval()
	}
	if len(e.cache) != 1 {
		t.Errorf("%d series cached after the others went, want 1", len(e.cache))
	}
}

func TestUnknownDialect(t *testing.T) {
	t.Parallel()
	_, err := NewEncoder(EncoderOptions{Dialect: "morse"})
	if err == nil || !strings.Contains(err.Error(), "plain, dogstatsd") {
		t.Errorf("error = %v, want the valid names", err)
	}
}

func TestEncoderDoesNotAllocate(t *testing.T) {
	snapshot := benchSnapshot(50)
	for _, dialect := range dialects() {
		e := newEncoder(t, EncoderOptions{Dialect: dialect})
		p := NewPacker(DefaultMaxPayload, Datagram, func([]byte, int) {})
		x := &Exporter{encoder: e, sender: &sender{packer: p}}
		x.encode(snapshot)
		if n := testing.AllocsPerRun(20, func() { x.encode(snapshot) }); n != 0 {
			t.Errorf("%s: encode allocates %v times", dialect, n)
		}
	}
}

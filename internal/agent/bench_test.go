// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"probe/pkg/events"
)

const (
	benchConns    = 64
	benchVariants = 64      // different exchanges per connection
	benchFlush    = 100_000 // requests per interval
	benchBatch    = 2_000   // records per drain
	benchStep     = 5_000   // ns between two requests
)

// message is one exchange of the mix: heads as sent by common clients and by
// nginx in front of an application.
type message struct {
	request, response string
	// responseLen is the length on the wire where it is more than is captured.
	responseLen int
}

// benchMessage is the i-th exchange: seven short answers with a length, of one
// write each, of eight in all; then in turn a long one and a chunked one.
func benchMessage(i int) message {
	targets := []string{
		"/", "/index.html", fmt.Sprintf("/api/v1/users/%d", 1000+i*37), "/static/app.9f8e7d6c5b4a.js?v=12",
		fmt.Sprintf("/api/v1/orders/%08x-4f3a-4c1b-9e2d-0123456789ab/items", i*2654435761), "/healthz",
		fmt.Sprintf("/search?q=term%d&page=2", i), "/api/v1/cart",
	}
	methods := []string{"GET", "GET", "GET", "POST", "GET", "GET", "HEAD", "GET"}
	method := methods[i%len(methods)]
	m := message{request: method + " " + targets[(i/3)%len(targets)] + " HTTP/1.1\r\n" +
		"Host: shop.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n" +
		"Accept: text/html,application/json;q=0.9,*/*;q=0.8\r\nAccept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\n"}
	if method == "POST" {
		m.request += "Content-Type: application/json\r\nContent-Length: 17\r\n\r\n{\"quantity\": 42}\n"
	} else {
		m.request += "\r\n"
	}
	status := []string{"200 OK", "200 OK", "200 OK", "201 Created", "200 OK", "404 Not Found", "200 OK", "500 Internal Server Error"}[(i/8)%8]
	head := "HTTP/1.1 " + status + "\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\nContent-Type: application/json\r\n"
	switch {
	case method == "HEAD":
		m.response = head + "Content-Length: 5120\r\nConnection: keep-alive\r\n\r\n"
	case i%16 == 7:
		m.response = head + "Content-Length: 9000\r\nConnection: keep-alive\r\n\r\n"
		m.responseLen = len(m.response) + 9000
		m.response += strings.Repeat("x", events.MaxHead-len(m.response))
	case i%16 == 15:
		m.response = head + "Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n1e\r\n" + strings.Repeat("y", 30) + "\r\n0\r\n\r\n"
	default:
		m.response = head + "Content-Length: 64\r\nConnection: keep-alive\r\n\r\n" + strings.Repeat("z", 64)
	}
	if m.responseLen == 0 {
		m.responseLen = len(m.response)
	}
	return m
}

// benchConn is one keep-alive connection and its records, rendered beforehand.
type benchConn struct {
	records          [benchVariants][]byte
	requests         [benchVariants]int // bytes on the wire
	responses        [benchVariants]int
	seq              uint32
	reqEnd, respEnd  uint64
	firstRecord      []byte
	variant          int
	lastResponseTime uint64
}

func newBenchConn(id int, message func(int) message) *benchConn {
	c := new(benchConn)
	for i := range c.records {
		m := message(id*benchVariants + i)
		r := events.Record{
			Has: events.HasStart | events.HasStatus, Role: events.RoleServer, PID: 1 << 21, TID: 1 << 21,
			ConnID: uint64(id) + 1, ReqHead: []byte(m.request), RespData: []byte(m.response), Tail: []byte(m.response[len(m.response)-8:]),
		}
		c.records[i] = r.Append(nil)
		c.requests[i], c.responses[i] = len(m.request), m.responseLen
		if i == 0 {
			r.Has |= events.HasConn | events.HasFirst
			r.Conn = events.RawConn{Inode: uint64(id) + 100, Family: events.FamilyIPv4, LocalPort: 80, RemotePort: uint16(40000 + id)}
			copy(r.Conn.Comm[:], "nginx")
			c.firstRecord = r.Append(nil)
		}
	}
	return c
}

// next returns the record of the next request, as the kernel would tell it at
// nowNS; the offsets are those of struct probe_record in bpf/abi.h.
func (c *benchConn) next(nowNS uint64) []byte {
	raw := c.records[c.variant]
	if c.seq == 0 {
		raw = c.firstRecord
	}
	reqOff, respOff := c.reqEnd, c.respEnd
	c.reqEnd += uint64(c.requests[c.variant])
	c.respEnd += uint64(c.responses[c.variant])
	le := binary.LittleEndian
	le.PutUint32(raw[8:], c.seq)
	for i, v := range [...]uint64{nowNS - 9000, nowNS - 7000, nowNS - 8000, reqOff, c.reqEnd, nowNS, c.lastResponseTime, respOff, c.respEnd} {
		le.PutUint64(raw[32+8*i:], v)
	}
	c.seq++
	c.variant = (c.variant + 1) % benchVariants
	c.lastResponseTime = nowNS
	return raw
}

// benchLoad is the agent without its kernel side, and what feeds it.
type benchLoad struct {
	agent *Agent
	conns []*benchConn
	nowNS uint64
	count int
}

func newBenchLoad(tb testing.TB, message func(int) message) *benchLoad {
	tb.Helper()
	a, err := build(Options{
		Role: "server", Source: "auto", Interval: DefaultInterval, ShutdownTimeout: DefaultShutdownTimeout,
		Statsd: "stdout:", Stdout: io.Discard, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	l := &benchLoad{agent: a, nowNS: 1e12}
	for i := range benchConns {
		l.conns = append(l.conns, newBenchConn(i, message))
	}
	return l
}

// one request through the whole path, and what comes due with it.
func (l *benchLoad) one(tb testing.TB) {
	if l.count%benchBatch == 0 {
		l.agent.batchNS = l.nowNS
		l.agent.endBatch()
	}
	if l.count%benchFlush == benchFlush-1 {
		if err := l.agent.export.Export(tb.Context(), l.agent.stats.Flush()); err != nil {
			tb.Fatal(err)
		}
	}
	l.nowNS += benchStep
	l.agent.feed(l.conns[l.count%benchConns].next(l.nowNS))
	l.count++
}

func (l *benchLoad) warm(tb testing.TB) {
	for range 2 * benchFlush {
		l.one(tb)
	}
}

// finished fails unless every request came out at the end.
func (l *benchLoad) finished(tb testing.TB) {
	tb.Helper()
	got, s := l.agent.stats.Totals().ByRole[events.RoleServer], l.agent.tracker.Stats()
	if got.Requests != uint64(l.count) || s.Open != 0 || s.LostRecords != 0 || l.agent.decodeErr != 0 {
		tb.Fatalf("%d of %d requests recorded, tracker %+v", got.Requests, l.count, s)
	}
}

// BenchmarkPipeline is the userspace cost of one request, from the bytes of its
// record to its share of a statsd line: 64 keep-alive connections, one record
// per request, a flush every 100,000 requests.
func BenchmarkPipeline(b *testing.B) { benchmarkPipeline(b, benchMessage) }

// BenchmarkPipelineAlike is BenchmarkPipeline with requests that are all the same,
// as load tools, health checks and proxies send them.
func BenchmarkPipelineAlike(b *testing.B) {
	benchmarkPipeline(b, func(int) message { return benchMessage(0) })
}

func benchmarkPipeline(b *testing.B, message func(int) message) {
	l := newBenchLoad(b, message)
	l.warm(b)
	b.ReportAllocs()
	for b.Loop() {
		l.one(b)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	l.finished(b)
}

// BenchmarkPipelineFeeder is the part of BenchmarkPipeline that is the
// benchmark's own.
func BenchmarkPipelineFeeder(b *testing.B) {
	l := newBenchLoad(b, benchMessage)
	for b.Loop() {
		l.nowNS += benchStep
		_ = l.conns[l.count%benchConns].next(l.nowNS)
		l.count++
	}
}

// A request of a known series costs no memory.
func TestPipelineAllocates(t *testing.T) {
	l := newBenchLoad(t, benchMessage)
	l.warm(t)
	if n := testing.AllocsPerRun(benchFlush/2, func() { l.one(t) }); n > 0 {
		t.Errorf("%.2f allocations per request, want 0", n)
	}
	l.finished(t)
}

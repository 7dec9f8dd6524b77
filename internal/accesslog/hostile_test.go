// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"probe/pkg/events"
)

// hostile holds what a peer, or the author of a program, can choose.
const hostile = "a\n{\"b\":1}\r\x00\x1b[2J\x7f\"\\\xff\xe2\x80\xa8é\u0085 end"

// One request, one line; no byte of it reaches a terminal or a parser raw.
func TestHostileBytes(t *testing.T) {
	q := request(func(q *events.Request) {
		q.Method, q.Target, q.Host = []byte("GE\nT"), []byte(hostile), []byte(hostile)
		q.Conn.Comm, q.Service, q.Route = hostile, hostile, hostile
		q.Origin = &events.Origin{Container: hostile, ContainerID: hostile, Pod: hostile, Namespace: hostile, Workload: hostile}
	})
	text := printed(t, Options{Query: true}, q)
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		t.Errorf("not one line: %q", text)
	}
	for i, c := range []byte(strings.TrimSuffix(text, "\n")) {
		if c < 0x20 || c > 0x7e {
			t.Errorf("byte %#x at %d of %q", c, i, text)
		}
	}
	object := printed(t, Options{JSON: true, Query: true}, q)
	if strings.Count(object, "\n") != 1 {
		t.Errorf("not one line: %q", object)
	}
	l, _ := parse(t, object)
	want := strings.ToValidUTF8(hostile, "\ufffd")
	for name, got := range map[string]string{"target": l.Target, "comm": l.Comm, "service": l.Service, "route": l.Route} {
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for i, c := range []byte(object[:len(object)-1]) {
		if c < 0x20 || c == 0x7f {
			t.Errorf("control byte %#x at %d of %q", c, i, object)
		}
	}
}

// failing accepts a number of writes and then refuses.
type failing struct {
	bytes.Buffer
	accept int
}

var errFull = errors.New("no space left")

func (w *failing) Write(b []byte) (int, error) {
	if w.accept--; w.accept < 0 {
		return 0, errFull
	}
	return w.Buffer.Write(b)
}

func TestWriteError(t *testing.T) {
	w := &failing{accept: 1}
	p := New(w, Options{JSON: true, Wall: wall})
	p.Print(request(nil))
	p.Print(request(nil))
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	var first string
	for i := range 5 {
		p.Print(request(nil))
		err := p.Flush()
		if !errors.Is(err, errFull) {
			t.Fatalf("flush %d: %v", i, err)
		}
		if first == "" {
			first = err.Error()
		}
		if err.Error() != first {
			t.Errorf("flush %d: %v, the first time %s", i, err, first)
		}
	}
	if err := p.Flush(); !errors.Is(err, errFull) {
		t.Errorf("empty flush: %v", err)
	}
	if printed, lost := p.Counts(); printed != 2 || lost != 5 {
		t.Errorf("%d printed, %d lost", printed, lost)
	}
	if n := strings.Count(w.String(), "\n"); n != 2 {
		t.Errorf("%d lines written", n)
	}
}

// A full buffer is written at once. Where that fails, nothing grows, and the
// next Flush says so.
func TestWriteErrorOfAFullBuffer(t *testing.T) {
	p := New(&failing{}, Options{Wall: wall})
	const lines = 10_000
	for range lines {
		p.Print(request(nil))
	}
	if cap(p.buf) > 4*flushSize {
		t.Errorf("%d bytes of buffer", cap(p.buf))
	}
	if err := p.Flush(); !errors.Is(err, errFull) {
		t.Errorf("flush: %v", err)
	}
	if printed, lost := p.Counts(); printed != 0 || lost != lines {
		t.Errorf("%d printed, %d lost", printed, lost)
	}
}

func TestFewWrites(t *testing.T) {
	w := &failing{accept: 3}
	p := New(w, Options{Wall: wall})
	for w.Len() == 0 {
		p.Print(request(nil))
	}
	if w.Len() < flushSize || w.accept != 2 {
		t.Errorf("%d bytes in %d writes", w.Len(), 3-w.accept)
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte("GET"), []byte("/a?b"), "nginx", "svc", "/a", uint8(1), uint16(200), uint8(0), uint8(2))
	f.Add([]byte(hostile), []byte(hostile), hostile, hostile, hostile, uint8(255), uint16(0), uint8(255), uint8(15))
	f.Add([]byte{0xc3}, []byte{0xed, 0xa0, 0x80}, "\xf4\x90\x80\x80", "\u2028", "</script>", uint8(9), uint16(999), uint8(4), uint8(1))
	f.Fuzz(func(t *testing.T, method, target []byte, comm, service, route string, minor uint8, status uint16, outcome, flags uint8) {
		q := request(func(q *events.Request) {
			q.Method, q.Target, q.Service, q.Route = method, target, service, route
			q.Conn.Comm = comm
			q.ProtoMinor, q.Status, q.Outcome, q.Flags = minor, status, events.Outcome(outcome), events.Flags(flags)
		})
		text := printed(t, Options{JSON: true, Query: true}, q)
		if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") || !utf8.ValidString(text) {
			t.Fatalf("not one line of UTF-8: %q", text)
		}
		l, _ := parse(t, text)
		if want := strings.ToValidUTF8(string(target), "\ufffd"); strings.Count(want, "\ufffd") == strings.Count(string(target), "\ufffd") &&
			!strings.Contains(want, "://") && l.Target != want {
			t.Fatalf("target %q, want %q", l.Target, want)
		}
		text = printed(t, Options{}, q)
		if strings.Count(text, "\n") != 1 || !utf8.ValidString(text) {
			t.Fatalf("not one line: %q", text)
		}
	})
}

func TestPrintDoesNotAllocate(t *testing.T) {
	for name, o := range map[string]Options{"text": {Wall: wall}, "json": {JSON: true, Wall: wall}} {
		p := New(&failing{accept: 1 << 30}, o)
		q := request(nil)
		p.out = discard{}
		for range 1000 {
			p.Print(q)
		}
		if n := testing.AllocsPerRun(1000, func() { p.Print(q) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

func BenchmarkPrint(b *testing.B) {
	for name, o := range map[string]Options{"text": {Wall: wall}, "json": {JSON: true, Wall: wall}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			p := New(discard{}, o)
			q := request(nil)
			for b.Loop() {
				p.Print(q)
			}
		})
	}
}

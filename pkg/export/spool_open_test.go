// SPDX-License-Identifier: Apache-2.0

package export

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The end of a file that was being written when the process died is cut off.
func TestSpoolCutsTornEnds(t *testing.T) {
	t.Parallel()
	whole := appendFrame(nil, frame{seq: 9, lines: 1, payload: []byte("torn\n")})
	for name, end := range map[string][]byte{
		"half a header":  whole[:20],
		"half a payload": whole[:len(whole)-2],
		"zeros":          make([]byte, 500),
		"a flipped bit":  append(append([]byte{}, whole[:len(whole)-1]...), 'x'),
		"an old frame":   appendFrame(nil, frame{seq: 1, lines: 1, payload: []byte("old\n")}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s, _, err := openSpool(dir, MinSpoolBytes)
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				if _, err := s.append(fmt.Appendf(nil, "line %d\n", i), 1, 7); err != nil {
					t.Fatal(err)
				}
			}
			path := s.segments[0].file.Name()
			if err := s.close(); err != nil {
				t.Fatal(err)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, append(bytes.Clone(before), end...), 0o600); err != nil {
				t.Fatal(err)
			}
			s, waiting, err := openSpool(dir, MinSpoolBytes)
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			if len(waiting) != 3 || s.torn != 1 {
				t.Fatalf("%d payloads, %d torn", len(waiting), s.torn)
			}
			for i, w := range waiting {
				payload, err := s.read(w.ref)
				if string(payload) != fmt.Sprintf("line %d\n", i) || err != nil || w.wallNS != 7 {
					t.Errorf("payload %d = %q, %v", i, payload, err)
				}
			}
			if after, err := os.ReadFile(path); !bytes.Equal(after, before) {
				t.Errorf("the torn end is still there: %v", err)
			}
			if ref, err := s.append([]byte("new\n"), 1, 8); ref.seq != 4 || err != nil {
				t.Errorf("the next number is %d, want 4: %v", ref.seq, err)
			}
		})
	}
}

// A file damaged while it waited is counted, and the rest arrives.
func TestSpoolUnreadable(t *testing.T) {
	t.Parallel()
	q, c := newTestQueue(t, Options{Target: Target{Scheme: TCP}, SpoolDir: t.TempDir()})
	defer q.close()
	for i := range 3 {
		if _, err := q.push(fmt.Appendf(nil, "line %d\n", i), 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := q.spool.segments[0].file.WriteAt([]byte("damage"), q.entries[1].ref.offset); err != nil {
		t.Fatal(err)
	}
	var got []string
	for chunk := q.take(0); chunk != nil; chunk = q.take(0) {
		got = append(got, string(chunk))
		q.wrote(len(chunk))
	}
	if diff := cmp.Diff([]string{"line 0\n", "line 2\n"}, got); diff != "" {
		t.Error(diff)
	}
	if c.droppedSpool.Load() != 1 || c.errorsSpool.Load() != 1 {
		t.Errorf("counters = %+v", c.load())
	}
}

func TestSpoolIsForOneProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _, err := openSpool(dir, MinSpoolBytes)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, _, err := openSpool(dir, MinSpoolBytes); !errors.Is(err, ErrSpool) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("error = %v", err)
	}
}

func TestSpoolThatCannotBe(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, "/proc/nowhere"} {
		x, err := New(spoolOptions(Target{Scheme: TCP, Host: "127.0.0.1", Port: 1}, dir))
		if x != nil || !errors.Is(err, ErrSpool) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// The name of the directory may have characters with a meaning in patterns.
func TestSpoolInADirectoryOfAnyName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"probe[1]", "probe[", "a*?"} {
		opt := Options{Target: Target{Scheme: TCP}, SpoolDir: filepath.Join(t.TempDir(), name)}
		q, _ := newTestQueue(t, opt)
		if _, err := q.push([]byte("line\n"), 1, 0); err != nil {
			t.Fatal(err)
		}
		if err := q.close(); err != nil {
			t.Fatal(err)
		}
		q, _ = newTestQueue(t, opt)
		if got := string(q.take(0)); got != "line\n" {
			t.Errorf("%s: found %q", name, got)
		}
		_ = q.close()
	}
}

func FuzzParseFrame(f *testing.F) {
	f.Add(appendFrame(nil, frame{seq: 1, wallNS: 2, lines: 2, payload: []byte("a:1|c\nb:1|c\n")}))
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, n, err := parseFrame(b)
		if err != nil {
			if !errors.Is(err, errTorn) || n != 0 || got.payload != nil || got.seq != 0 {
				t.Errorf("error %v with %+v, %d", err, got, n)
			}
			return
		}
		if again := appendFrame(nil, got); !bytes.Equal(again, b[:n]) {
			t.Errorf("%x reads as %x", b[:n], again)
		}
	})
}

// What a damaged directory holds never stops a start, nor comes out as
// something else than whole lines.
func FuzzRecover(f *testing.F) {
	whole := appendFrame(nil, frame{seq: 1, lines: 1, payload: []byte("a:1|c\n")})
	f.Add(whole, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	f.Add(append(whole, whole...), []byte{})
	f.Fuzz(func(t *testing.T, segment, acked []byte) {
		dir := t.TempDir()
		for name, b := range map[string][]byte{"0000000000000001.lines": segment, ackedFile: acked, "x.lines": segment} {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s, waiting, err := openSpool(dir, MinSpoolBytes)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		for _, w := range waiting {
			payload, err := s.read(w.ref)
			if err != nil || !bytes.HasSuffix(payload, []byte("\n")) || w.skip >= len(payload) {
				t.Errorf("payload %q, skip %d, %v", payload, w.skip, err)
			}
		}
	})
}

// Payloads of a target without lengths are longer than what is read at once from
// one with lengths.
func TestSpoolOfAnotherTarget(t *testing.T) {
	t.Parallel()
	opt := Options{Target: Target{Scheme: TCP}, SpoolDir: t.TempDir()}
	q, _ := newTestQueue(t, opt)
	payload := []byte(strings.Repeat("0123456789\n", entryBytes/11))
	if _, err := q.push(payload, entryBytes/11, 0); err != nil {
		t.Fatal(err)
	}
	if err := q.close(); err != nil {
		t.Fatal(err)
	}
	opt.Target = Target{Scheme: UnixDD, Path: "/x"}
	q, c := newTestQueue(t, opt)
	defer q.close()
	var got []byte
	for chunk := q.take(0); chunk != nil; chunk = q.take(0) {
		q.wrote(len(chunk))
		q.confirm(uint64(len(chunk)), 0)
		for len(chunk) > 0 {
			n := int(binary.LittleEndian.Uint32(chunk))
			if n > unixPayload {
				t.Errorf("a payload of %d bytes", n)
			}
			got, chunk = append(got, chunk[prefixBytes:prefixBytes+n]...), chunk[prefixBytes+n:]
		}
	}
	if b, lines := q.waiting(); !bytes.Equal(got, payload) || b != 0 || lines != 0 || int(c.linesSent.Load()) != entryBytes/11 {
		t.Errorf("%d bytes of %d; %d bytes and %d lines left, %d sent", len(got), len(payload), b, lines, c.linesSent.Load())
	}
}

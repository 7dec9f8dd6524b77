// SPDX-License-Identifier: Apache-2.0

package export

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"probe/internal/testutil"

	"github.com/google/go-cmp/cmp"
)

// gramReceiver is a datagram socket that the test reads itself.
func gramReceiver(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func readGram(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	buf := make([]byte, 1<<16)
	must(t, conn.SetReadDeadline(time.Now().Add(3*time.Second)))
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestUnixgramDelivers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	conn := gramReceiver(t, path)
	x := newExporter(t, Options{Target: Target{Scheme: Unixgram, Path: path}, Now: since()})
	must(t, x.export(numbered(1, 1000)))
	lines := 0
	for lines < 1000 {
		packet := readGram(t, conn)
		if len(packet) > unixPayload || strings.HasSuffix(packet, "\n") {
			t.Errorf("packet of %d bytes, %q…", len(packet), packet[:20])
		}
		lines += strings.Count(packet, "\n") + 1
	}
	if c := x.Counters(); lines != 1000 || c.LinesSent != 1000 || !x.Status().Connected {
		t.Errorf("%d lines, counters = %+v", lines, c)
	}
}

// A receiver that came back has another socket under the same name: the packet
// that finds out goes there.
func TestUnixgramReceiverRestarts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	conn := gramReceiver(t, path)
	clock := &testClock{}
	x := newExporter(t, Options{Target: Target{Scheme: Unixgram, Path: path}, Now: clock.Now})
	for i := range 3 {
		must(t, x.export(numbered(i+1, 1)))
		if got, want := readGram(t, conn), fmt.Sprintf("probe.self.n:%d|c", i+1); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		must(t, conn.Close(), os.RemoveAll(path))
		conn = gramReceiver(t, path)
	}
	if c := x.Counters(); c.LinesSent != 3 || c.Reconnects != 2 || c.ErrorsRefused != 2 {
		t.Errorf("counters = %+v", c)
	}
	// Gone for good: one attempt, then quiet until the back-off is over.
	must(t, conn.Close())
	for range 3 {
		if err := x.export(oneLine()); !errors.Is(err, errDown) {
			t.Errorf("error = %v", err)
		}
	}
	if c := x.Counters(); c.LinesDropped != 3 || c.ErrorsConnect > 1 || x.Status().Connected || x.Status().Err == "" {
		t.Errorf("counters = %+v, status = %+v", c, x.Status())
	}
	must(t, os.RemoveAll(path))
	conn = gramReceiver(t, path)
	clock.now += time.Minute
	must(t, x.export(numbered(7, 1)))
	if got := readGram(t, conn); got != "probe.self.n:7|c" {
		t.Errorf("got %q", got)
	}
	checkBooks(t, x, 7)
}

// One that does not read makes an Export wait, but not for ever.
func TestUnixgramReceiverDoesNotRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	gramReceiver(t, path)
	x := newExporter(t, Options{Target: Target{Scheme: Unixgram, Path: path}, Now: since(), Timeout: 50 * time.Millisecond})
	const n = 200_000 // some MB, more than any queue of the kernel
	if err := x.export(numbered(1, n)); !errors.Is(err, errDown) || !strings.Contains(err.Error(), "does not read") {
		t.Errorf("error = %v", err)
	}
	if c := x.Counters(); c.ErrorsNoBuffer != 1 || c.LinesDropped == 0 || c.LinesSent == 0 {
		t.Errorf("counters = %+v", c)
	}
	checkBooks(t, x, n)
}

func TestUnixgramPacketTooLarge(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	conn := gramReceiver(t, path)
	x := newExporter(t, Options{Target: Target{Scheme: Unixgram, Path: path}, Now: since()})
	x.begin(t.Context())
	u := x.transport.(*unixgram)
	must(t, u.conn.(*net.UnixConn).SetWriteBuffer(1))
	if err := u.send(t.Context(), make([]byte, 1<<18), 1); err == nil || errors.Is(err, errDown) {
		t.Errorf("error = %v, want one about this packet only", err)
	}
	must(t, u.send(t.Context(), []byte("small"), 1), x.end())
	if got := readGram(t, conn); got != "small" {
		t.Errorf("got %q", got)
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lines")
	must(t, os.WriteFile(path, []byte("before\n"), 0o600))
	x := newExporter(t, Options{Target: Target{Scheme: File, Path: path}})
	must(t, x.export(numbered(1, 2)), x.export(numbered(3, 1)))
	must(t, os.Rename(path, path+".1")) // what log rotation does
	must(t, x.export(numbered(4, 1)))
	for name, want := range map[string]string{
		path + ".1": "before\nprobe.self.n:1|c\nprobe.self.n:2|c\nprobe.self.n:3|c\n", path: "probe.self.n:4|c\n",
	} {
		got, err := os.ReadFile(name)
		if diff := cmp.Diff(want, string(got)); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
	checkBooks(t, x, 4)
}

// A disk that is full keeps whole lines only.
func TestFileOnAFullDisk(t *testing.T) {
	dir := testutil.SmallDisk(t, "64k")
	path := filepath.Join(dir, "lines")
	x := newExporter(t, Options{Target: Target{Scheme: File, Path: path}})
	const n = 10_000 // 200 KB
	if err := x.export(numbered(1, n)); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("error = %v", err)
	}
	got, err := os.ReadFile(path)
	must(t, err)
	c := x.Counters()
	if lines := strings.Count(string(got), "\n"); uint64(lines) != c.LinesSent || !strings.HasSuffix(string(got), "|c\n") {
		t.Errorf("%d lines in the file, which ends in %q: %+v", lines, got[len(got)-10:], c)
	}
	checkBooks(t, x, n)
	must(t, x.Close(t.Context()))
}

// A file that cannot be written is refused at once; a pipe may get its reader
// later.
func TestFileThatCannotBe(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/proc/nowhere/x", t.TempDir()} {
		if x, err := New(Options{Target: Target{Scheme: File, Path: path}}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, %v; want an error that names it", path, x, err)
		}
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	must(t, syscall.Mkfifo(pipe, 0o600))
	newExporter(t, Options{Target: Target{Scheme: File, Path: pipe}})
}

// Nor does it end an Exporter that it is gone later.
func TestFileThatIsGone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "log")
	must(t, os.Mkdir(dir, 0o700))
	x := newExporter(t, Options{Target: Target{Scheme: File, Path: filepath.Join(dir, "lines")}})
	must(t, os.RemoveAll(dir))
	for range 2 {
		if err := x.export(oneLine()); !errors.Is(err, errDown) {
			t.Errorf("error = %v", err)
		}
	}
	must(t, os.Mkdir(dir, 0o700))
	must(t, x.export(oneLine()))
	checkBooks(t, x, 3)
}

// A pipe that its reader empties too late takes a part of a payload. The line
// that this tears is not glued to the next one.
func TestFilePipeThatIsFull(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	x, err := New(Options{Target: Target{Scheme: File, Path: path}, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(t, x)
	b := make([]byte, 1<<20)
	for _, room := range []int{5000, len(b)} { // the first makes some, not enough for a payload
		if err := x.Export(context.Background(), numbered(1, 5000)); err == nil {
			t.Fatal("the pipe took all")
		}
		if _, err := reader.Read(b[:room]); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Export(context.Background(), numbered(7, 1)); err != nil {
		t.Fatal(err)
	}
	n, err := reader.Read(b)
	if got := string(b[:n]); got != "\nprobe.self.n:7|c\n" || err != nil {
		t.Errorf("after a torn line %q, %v", got, err)
	}
}

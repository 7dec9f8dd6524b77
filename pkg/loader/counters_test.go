// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probe/internal/testutil"
	"probe/pkg/loader"
)

// What is not HTTP/1, or cannot be read, is counted under its reason. Both ends
// of each connection are the player's, so each connection counts twice.
func TestCounters(t *testing.T) {
	tests := []struct {
		scenario string
		only     loader.Source // empty: both sources
		want     map[string]uint64
	}{
		{"upgrade", "", map[string]uint64{"kernel.requests_seen": 2, "kernel.tunnels": 2}},
		{"CONNECT", "", map[string]uint64{"kernel.requests_seen": 2, "kernel.tunnels": 2}},
		{"not HTTP", "", map[string]uint64{
			"kernel.unseen.tls":   2,
			"kernel.unseen.http2": 2,
			// Inline Redis begins like a request, and is answered otherwise.
			"kernel.requests_seen": 2, "kernel.dropped.not_http_answer": 2,
		}},
		{"neither way HTTP", "", map[string]uint64{"kernel.unseen.not_http": 2}},
		{"by io_uring", loader.SourceSocket, map[string]uint64{"kernel.unseen.io_uring": 4}},
		// Its reader takes them for a long method.
		{"bytes by splice", "", map[string]uint64{"kernel.requests_seen": 1, "kernel.unseen.no_buffer": 1}},
		// The sender's bytes never were in its memory; the reader finds no HTTP.
		{"whole answer by sendfile", "", map[string]uint64{
			"kernel.requests_seen": 2, "kernel.unseen.no_buffer": 1, "kernel.dropped.not_http_answer": 1,
		}},
	}
	eachSource(t, func(t *testing.T, source loader.Source) {
		requireSource(t, source)
		player := startChild(t)
		obs := observe(t, loader.Options{Source: source, Comms: []string{player.comm}, Server: true, Client: true})
		for _, tt := range tests {
			if tt.only != "" && tt.only != source {
				continue
			}
			t.Run(tt.scenario, func(t *testing.T) {
				obs.t, player.t = t, t
				before := obs.counts()
				player.play(order{Scenario: tt.scenario})
				obs.poll()
				got := map[string]uint64{}
				for name, v := range obs.counts() {
					if v > before[name] {
						got[name] = v - before[name]
					}
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("counters (-want +got):\n%s", diff)
				}
			})
		}
	})
}

// What is not HTTP/1 on other ports than those asked for is no loss.
func TestCountersOfPorts(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		requireSource(t, source)
		player := startChild(t)
		obs := observe(t, loader.Options{Source: source, Comms: []string{player.comm}, Ports: []uint16{player.port}, Server: true, Client: true})
		before := obs.counts()
		for _, scenario := range []string{"not HTTP", "neither way HTTP", "TLS on the known port"} {
			player.play(order{Scenario: scenario})
		}
		after := obs.counts()
		for name, want := range map[string]uint64{"kernel.unseen.tls": 2, "kernel.unseen.http2": 0, "kernel.unseen.not_http": 0} {
			if got := after[name] - before[name]; got != want {
				t.Errorf("%s: %d, want %d", name, got, want)
			}
		}
	})
}

// counts are the counters but for those that say how much was told, and those
// that other processes move as well.
func (o *observer) counts() map[string]uint64 {
	o.t.Helper()
	all, err := o.kernel.Counters(nil)
	if err != nil {
		o.t.Fatal(err)
	}
	counts := map[string]uint64{}
	for _, c := range all {
		switch c.Name {
		case "kernel.records", "kernel.connections", "kernel.dropped.recursion":
		default:
			counts[c.Name] = c.Value
		}
	}
	return counts
}

// A 32-bit program has other system calls and other structures: its pieces are
// counted, and no exchange is made of them.
func TestCounters32Bit(t *testing.T) {
	requireSource(t, loader.SourceSocket)
	path := build32(t)
	comm := filepath.Base(path)
	obs := observe(t, loader.Options{Source: loader.SourceSocket, Comms: []string{comm}, Server: true, Client: true})
	out, err := exec.Command(path).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", comm, err, out)
	}
	if got := obs.await(0); len(got) > 0 {
		t.Errorf("exchanges %+v, want none", got)
	}
	if n := obs.counter("kernel.unseen.compat_task"); n == 0 {
		t.Error("nothing counted for a 32-bit task")
	}
	if n := obs.counter("kernel.unseen.unreadable"); n > 0 {
		t.Errorf("%d tries to read the memory of a 32-bit task by 64-bit rules", n)
	}
}

// build32 builds testdata/compat for the 32-bit sibling of this architecture.
func build32(t *testing.T) string {
	t.Helper()
	arch, ok := map[string]string{"amd64": "386", "arm64": "arm"}[runtime.GOARCH]
	if !ok {
		t.Skip("no 32-bit sibling of this architecture")
	}
	if _, err := exec.LookPath("go"); err != nil {
		testutil.Lacking(t, "needs the go command to build a 32-bit program")
	}
	path := filepath.Join(t.TempDir(), "pt32-"+strconv.Itoa(os.Getpid()))
	build := exec.Command("go", "build", "-o", path, "./testdata/compat")
	build.Env = append(os.Environ(), "GOARCH="+arch, "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	if err := exec.Command(path, "-check").Run(); err != nil {
		t.Skipf("this kernel does not run %s programs: %v", arch, err)
	}
	return path
}

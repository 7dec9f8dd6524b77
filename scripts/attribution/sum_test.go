// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"probe/internal/testutil"
	"probe/scripts/process"
)

// The parts of every one of 100,000 requests add up to its duration.
func TestPartsAddUp(t *testing.T) {
	const least = 100_000
	testutil.RequireBPF(t, "5.14", "task storage")
	ports := []string{startNginx(t), strconv.Itoa(startServer(t, "go").port)}
	p := startProbe(t, "--port", ports[0], "--port", ports[1])
	total := 0
	for round := 0; total < least; round++ {
		if round == 8 {
			t.Fatalf("only %d requests in %d rounds", total, round)
		}
		for i, port := range ports {
			load(t, fmt.Sprintf("http://127.0.0.1:%s/none?n=0-%d", port, i))
		}
		total = countLines(t, p.Stdout)
	}
	if err := p.Finish(); err != nil {
		t.Fatal(err)
	}
	n, wrongs, whole := 0, 0, 0
	err := readTrace(p.Stdout, func(l *traceLine) {
		n++
		if l.Attribution != "partial" {
			whole++
		}
		if d := l.adds(); d != 0 {
			if wrongs++; wrongs < 5 {
				t.Errorf("%s: the parts are %v more than the duration of %v: %v", l.Target, d, l.Duration, nonZero(l.split()))
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d requests, %d do not add up, %d attributed", n, wrongs, whole)
	if n < least || whole < n/2 {
		t.Errorf("%d requests seen, %d attributed", n, whole)
	}
}

// load keeps a server busy for a second.
func load(t *testing.T, url string) {
	t.Helper()
	if out, err := exec.Command("wrk", "-t1", "-c8", "-d1s", url).CombinedOutput(); err != nil {
		t.Fatalf("wrk: %v: %s", err, out)
	}
}

func countLines(t *testing.T, path string) int {
	t.Helper()
	n := 0
	if err := readTrace(path, func(*traceLine) { n++ }); err != nil {
		t.Logf("while the probe writes: %v", err) // the last line may be half
	}
	return n
}

// startNginx returns the port of an nginx with one worker.
func startNginx(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	n, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(n)
	config := fmt.Sprintf(`
worker_processes 1;
daemon off;
pid %[1]s/pid;
error_log %[1]s/error.log;
events { worker_connections 256; }
http { access_log off; keepalive_requests 1000000; server { listen 127.0.0.1:%[2]s; location / { return 200 "ok\n"; } } }
`, dir, port)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := process.Start(dir, "nginx", nil, "/usr/sbin/nginx", "-p", dir, "-c", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	if err := process.WaitListening(p, 10*time.Second, [2]string{"tcp", "127.0.0.1:" + port}); err != nil {
		t.Fatal(err)
	}
	return port
}

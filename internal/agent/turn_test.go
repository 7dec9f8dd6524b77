// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A lock that cannot be made is told at a reload as at the start.
func TestReloadWithoutLock(t *testing.T) {
	a, text := ending(t, time.Second)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a.opt.LockDir, a.live.LockDir = file, file
	next := a.live
	next.Statsd = "udp://127.0.0.1:9"
	if err := a.adopt(next); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "cannot tell whether another probe") {
		t.Errorf("log: %q", text)
	}
}

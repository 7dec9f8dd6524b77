// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"path/filepath"
	"testing"

	"probe/internal/privilege"
)

// What an agent keeps follows from what it will do again.
func TestLaterPrivileges(t *testing.T) {
	for _, name := range []string{"STATSD_HOST", "STATSD_PORT", "STATSD_PROTOCOL"} {
		t.Setenv(name, "")
	}
	names := privilege.Of(privilege.SysPtrace, privilege.DACReadSearch)
	own, others := t.TempDir(), t.TempDir()
	must(t, os.Chmod(others, 0o500))
	chown := names | privilege.Of(privilege.DACOverride)
	if os.Geteuid() == 0 {
		must(t, os.Chown(others, 65534, 65534))
		chown |= privilege.Of(privilege.Chown)
	}
	tests := []struct {
		name string
		opt  Options
		bpf  bool
		want privilege.Set
	}{
		{"nothing", Options{}, false, names},
		{"udp", Options{Statsd: "udp://127.0.0.1:8125"}, false, names},
		{"old kernel", Options{}, true, names | privilege.Of(privilege.BPF, privilege.Perfmon, privilege.SysAdmin)},
		{"high port", Options{Listen: "127.0.0.1:9102"}, false, names},
		{"low port", Options{Listen: "127.0.0.1:80"}, false, names | privilege.Of(privilege.NetBindService)},
		{"receiver of another user", Options{Statsd: "unix:///run/statsd.sock"}, false, names | privilege.Of(privilege.DACOverride)},
		{"its path is no URL", Options{Statsd: "unix:///run/100%/statsd.sock"}, false, names | privilege.Of(privilege.DACOverride)},
		{"spool", Options{Export: ExportOptions{SpoolDir: "/var/spool/probe"}}, false, names | privilege.Of(privilege.DACOverride)},
		{"ready file", Options{ReadyFile: filepath.Join(own, "ready")}, false, names},
		{"ready file nowhere", Options{ReadyFile: filepath.Join(own, "none", "ready")}, false, names},
		{"ready file at another user's", Options{ReadyFile: filepath.Join(others, "ready")}, false, names | privilege.Of(privilege.DACOverride)},
		{"spool at another user's", Options{Export: ExportOptions{SpoolDir: others}}, false, chown},
		{"totals at another user's", Options{StateDir: others}, false, chown},
		{"totals", Options{StateDir: "/var/lib/probe"}, false, names | privilege.Of(privilege.DACOverride)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.opt.laterPrivileges(tt.bpf); got != tt.want {
				t.Errorf("keeps %v, want %v", got, tt.want)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"probe/pkg/export"
	"probe/pkg/stats"
)

// New settings that turn out to be unusable are tried again by the next reload,
// and where those before are not usable any more either, by the next delivery.
func TestReplacementIsTriedAgain(t *testing.T) {
	a, text := ending(t, time.Second)
	dir := t.TempDir()
	inDir := func(name string) Options {
		o := a.live
		o.Statsd = "file://" + filepath.Join(dir, name, "lines")
		return o
	}
	mkdir := func(name string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	deliver := func() { // as flush and a delivery do
		if !a.replaceExport {
			return
		}
		replace := a.replacer(a.export, a.exportBefore, a.live)
		a.replaceExport, a.replacing = false, true
		a.deliver.next = replace(t.Context())
		a.takeReplacement()
	}
	writes := func(what string, o Options) {
		t.Helper()
		if err := a.export.Export(t.Context(), &stats.Snapshot{Self: []stats.SelfValue{{Name: "n", Delta: 1}}}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		target, err := export.ParseTarget(o.Statsd)
		if err != nil {
			t.Fatal(err)
		}
		if lines, err := os.ReadFile(target.Path); err != nil || len(lines) == 0 || a.live.Statsd != o.Statsd {
			t.Errorf("%s: %d bytes there (%v); in use %s, log: %s", what, len(lines), err, a.live.Statsd, text)
		}
	}
	reload := func(o Options) {
		t.Helper()
		if err := a.adopt(o); err != nil {
			t.Fatal(err)
		}
		deliver()
	}
	first, second, third := inDir("first"), inDir("second"), inDir("third")
	mkdir("first")
	reload(first)
	writes("reloaded", first)
	reload(second)
	writes("not usable", first)
	mkdir("second")
	reload(second)
	writes("usable by now", second)

	if err := os.RemoveAll(filepath.Join(dir, "second")); err != nil {
		t.Fatal(err)
	}
	reload(third)
	deliver()
	mkdir("third")
	deliver()
	writes("neither was usable", third)
}

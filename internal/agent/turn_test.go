// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"probe/internal/route"
	"probe/internal/single"
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

// The interval that has begun goes to the receiver of before a reload: nobody else
// sends there until it has left. Back and forth, the agent does not wait for itself.
func TestTurnsEndWithTheirExporter(t *testing.T) {
	a, _ := ending(t, time.Second)
	dir := filepath.Join(t.TempDir(), "locks")
	first, second := a.live, a.live
	first.Statsd, second.Statsd = "udp://127.0.0.1:9", "udp://127.0.0.1:10"
	a.live, a.opt.LockDir = first, dir
	if err := a.moveTurn(first); err != nil {
		t.Fatal(err)
	}
	held := func(what string, want ...string) {
		t.Helper()
		holders, err := single.Holders(dir)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, h := range holders {
			receiver, _, _ := strings.Cut(h.Key, " ")
			got = append(got, receiver)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: locks of %v, want %v", what, got, want)
		}
	}
	adopt := func(o Options) {
		t.Helper()
		if err := a.adopt(o); err != nil {
			t.Fatal(err)
		}
	}
	replaced := func() { // as flush and a delivery do
		a.replaceExport = false
		a.deliver.next = newScripted(nil)
		a.takeReplacement()
	}
	adopt(second)
	held("reloaded", first.Statsd, second.Statsd)
	adopt(first)
	adopt(second)
	held("back and forth", first.Statsd, second.Statsd)
	replaced()
	held("delivered", second.Statsd)

	third := second
	third.Statsd = "stdout:"
	adopt(first)
	a.replaceExport = false // its last interval is on its way
	adopt(third)
	a.deliver.next = newScripted(nil)
	a.takeReplacement()
	held("reloaded during the delivery", first.Statsd)
	replaced()
	held("lines on stdout")

	adopt(first)
	replaced()
	adopt(second)
	a.fellBack.Store(&first)
	replaced()
	held("fell back", first.Statsd)
	adopt(second)
	a.replaceExport = false
	adopt(third)
	a.fellBack.Store(&first)
	a.deliver.next = newScripted(nil)
	a.takeReplacement()
	held("fell back, with newer settings waiting", first.Statsd)
	a.endTurns()
	held("ended")
}

// What routes have counted is not counted back by a reload.
func TestReloadKeepsCounters(t *testing.T) {
	a, _ := ending(t, time.Second)
	var err error
	if a.routes, err = route.NewServices(route.Options{MaxChildren: 1}); err != nil {
		t.Fatal(err)
	}
	a.routes.Template("shop", []byte("/a"))
	a.routes.Template("shop", []byte("/b"))
	want := a.routes.Stats().Capped
	if want == 0 {
		t.Fatal("nothing to keep")
	}
	next := a.live
	next.Routes = []string{"/users/*"}
	if err := a.adopt(next); err != nil {
		t.Fatal(err)
	}
	if got := a.routes.Stats().Capped; got != want {
		t.Errorf("%d after a reload, want %d", got, want)
	}
}

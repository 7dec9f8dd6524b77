// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"probe/internal/testutil"
)

// newGroup makes an empty control group in a hierarchy that the host has.
func newGroup(t testing.TB, l layout, name string) {
	t.Helper()
	for _, root := range []string{l.unified, l.cpuacct, l.memory} {
		if root == "" {
			continue
		}
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(dir) })
	}
}

func removeGroup(t *testing.T, l layout, name string) {
	t.Helper()
	for _, root := range []string{l.unified, l.cpuacct, l.memory} {
		if root == "" {
			continue
		}
		if err := os.Remove(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// A file that is open does not hide that its group is gone, nor that another
// one came by its name.
func TestGroupMadeAnew(t *testing.T) {
	testutil.RequireRoot(t, "make control groups")
	r := newReader(t, Options{})
	name := fmt.Sprintf("/probe-test-anew-%d", os.Getpid())
	newGroup(t, r.layout, name)
	g := r.layout.group(name)
	defer g.close()
	if _, alive := r.readGroup(&g); !alive {
		t.Fatalf("%s is not there", name)
	}
	removeGroup(t, r.layout, name)
	if s, alive := r.readGroup(&g); alive {
		t.Errorf("the group is gone and has %+v", s)
	}
	for _, f := range g.files {
		if f.file != 0 {
			t.Errorf("%s is still open", f.path)
		}
	}
	newGroup(t, r.layout, name)
	for range 2 {
		if _, alive := r.readGroup(&g); !alive {
			t.Error("the new group is not seen")
		}
	}
}

// BenchmarkReadGroup is the cost of one service in one look.
func BenchmarkReadGroup(b *testing.B) {
	testutil.RequireRoot(b, "make control groups")
	name := fmt.Sprintf("/probe-bench-%d", os.Getpid())
	newGroup(b, findLayout("/sys"), name)
	for _, keep := range []bool{false, true} {
		b.Run(map[bool]string{false: "opened", true: "kept"}[keep], func(b *testing.B) {
			r := newReader(b, Options{})
			r.keep = keep
			g := r.layout.group(name)
			defer g.close()
			for b.Loop() {
				if _, alive := r.readGroup(&g); !alive {
					b.Fatal("gone")
				}
			}
		})
	}
}

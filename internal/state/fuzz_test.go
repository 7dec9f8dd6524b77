// SPDX-License-Identifier: Apache-2.0

package state

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// A database with any bytes changed, and cut anywhere: Read does not end the
// program, and Open gives a store that works. edits are groups of an offset (16
// bits) and a byte to put there.
func FuzzOpen(f *testing.F) {
	good := databaseBytes(f)
	size := uint16(len(good))
	f.Add([]byte{}, size)
	f.Add([]byte{0x20, 0x08, 0x01}, size)       // flags of a page
	f.Add([]byte{0x30, 0x0a, 0xff}, size)       // number of its elements
	f.Add([]byte{0, 0x10, 0, 0, 0x11, 0}, size) // no magic number
	f.Add([]byte{}, uint16(9000))
	f.Fuzz(func(t *testing.T, edits []byte, size uint16) {
		content := slices.Clone(good[:min(len(good), int(size))])
		for ; len(edits) >= 3 && len(content) > 0; edits = edits[3:] {
			content[(int(edits[0])<<8|int(edits[1]))%len(content)] = edits[2]
		}
		dir := t.TempDir()
		overwrite(content)(t, filepath.Join(dir, databaseName))
		if saved, err := Read(dir); err == nil && saved.Stats.Validate() != nil {
			t.Error("read gave a record that is not valid")
		}
		o := open(t, dir)
		if aside, err := o.Store.Save(sample(4)); err != nil {
			t.Fatalf("save: %q, %v", aside, err)
		}
		closeStore(t, o.Store)
		if saved, err := Read(dir); err != nil || saved.Stats.Finished.Count != 4 {
			t.Errorf("%+v, %v", saved, err)
		}
	})
}

// databaseBytes are those of a database that was written to a few times.
func databaseBytes(f *testing.F) []byte {
	dir := f.TempDir()
	o, err := Open(dir, testNow)
	if err != nil {
		f.Fatal(err)
	}
	for n := range 3 {
		if _, err := o.Store.Save(sample(n)); err != nil {
			f.Fatal(err)
		}
	}
	if err := o.Store.Close(); err != nil {
		f.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(dir, databaseName))
	if err != nil {
		f.Fatal(err)
	}
	return content
}

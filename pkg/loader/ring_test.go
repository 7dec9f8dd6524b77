// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A reader that panics has had its record: the drain after it goes on behind
// it, and hands over none twice.
func TestDrainAfterPanic(t *testing.T) {
	const records = 5
	data := make([]byte, 4096)
	var read, written uint64
	for i := range records {
		binary.LittleEndian.PutUint32(data[16*i:], 8)
		data[16*i+ringHeader] = byte(i)
		written += 16
	}
	r := &ring{readPos: &read, writePos: &written, data: data, mask: 4096 - 1}
	var got []byte
	take := func(record []byte) {
		got = append(got, record[0])
		if record[0] == 2 {
			panic("at the third")
		}
	}
	func() {
		defer func() { _ = recover() }()
		r.drain(take)
	}()
	r.drain(take)
	if diff := cmp.Diff([]byte{0, 1, 2, 3, 4}, got); diff != "" || read != written {
		t.Errorf("read to %d of %d, records (-want +got):\n%s", read, written, diff)
	}
}

// A record that goes over the end of the ring comes in one piece.
func TestDrainOverTheEnd(t *testing.T) {
	const size, length = 256, 40 // with its header 48, which 256 is no multiple of
	data := make([]byte, size)
	var read, written uint64
	r := &ring{readPos: &read, writePos: &written, data: data, mask: size - 1}
	for round := range byte(20) {
		binary.LittleEndian.PutUint32(data[written&r.mask:], length)
		for i := range uint64(length) {
			data[(written+ringHeader+i)&r.mask] = round + byte(i)
		}
		written += ringHeader + length
		records, n := r.drain(func(record []byte) {
			for i, b := range record {
				if b != round+byte(i) {
					t.Fatalf("round %d: byte %d is %d, want %d", round, i, b, round+byte(i))
				}
			}
		})
		if records != 1 || n != length {
			t.Fatalf("round %d: %d records of %d bytes, want one of %d", round, records, n, length)
		}
	}
}

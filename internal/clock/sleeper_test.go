// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"errors"
	"testing"
	"time"
)

func TestSleeper(t *testing.T) {
	s, err := NewSleeper()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []time.Duration{-time.Second, 0, 1, 3 * time.Millisecond, 20 * time.Millisecond, time.Millisecond} {
		begun := time.Now()
		if err := s.Sleep(d); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < d || took > d+10*time.Second {
			t.Errorf("slept %v, want %v", took, d)
		}
	}
	if n := testing.AllocsPerRun(10, func() { err = errors.Join(err, s.Sleep(time.Microsecond)) }); n != 0 || err != nil {
		t.Errorf("%v allocations per sleep, want none; error %v", n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Sleep(time.Millisecond); err == nil {
		t.Error("slept on a closed timer")
	}
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/procfs"

	"probe/pkg/stats"
)

func TestParsePressure(t *testing.T) {
	t.Parallel()
	const some = "some avg10=1.25 avg60=0.50 avg300=0.00 total=1500\n"
	stall := &stats.Stall{Avg10: 1.25, Avg60: 0.5, Total: 1500 * time.Microsecond}
	for name, c := range map[string]struct {
		text string
		want *stats.Pressure
	}{
		"both":          {some + "full avg10=0.00 avg60=0.00 avg300=3.00 total=7\n", &stats.Pressure{Some: stall, Full: &stats.Stall{Avg300: 3, Total: 7 * time.Microsecond}}},
		"some":          {some, &stats.Pressure{Some: stall}},
		"a new kind":    {some + "most avg10=0.00 total=1\n", &stats.Pressure{Some: stall}},
		"a new average": {"some avg1=9.99 " + some[len("some "):], &stats.Pressure{Some: stall}},
		"empty":         {"", nil},
		"no total":      {"some avg10=1.25\n", nil},
		"no number":     {"some avg10=1.25 total=x\n", nil},
		"cut":           {some[:len(some)/2], nil},
	} {
		if diff := cmp.Diff(c.want, parsePressure([]byte(c.text))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What the library reads of this host is what we read of the same text.
func TestParsePressureLikeLibrary(t *testing.T) {
	fs, err := procfs.NewFS("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, resource := range []string{"cpu", "memory", "io"} {
		for range 20 { // until nothing stalled in between
			before, err := readFile("/proc/pressure/"+resource, make([]byte, maxFileBytes))
			if err != nil {
				t.Fatal(err)
			}
			want, err := pressureOf(fs, resource)
			if err != nil {
				t.Fatal(err)
			}
			after, err := readFile("/proc/pressure/"+resource, make([]byte, maxFileBytes))
			if err != nil {
				t.Fatal(err)
			}
			if string(before) != string(after) {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			if diff := cmp.Diff(want, parsePressure(before)); diff != "" {
				t.Errorf("%s (-library +got):\n%s", resource, diff)
			}
			break
		}
	}
}

func FuzzParsePressure(f *testing.F) {
	f.Add([]byte("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"))
	f.Add([]byte("some total=99999999999999999999"))
	f.Add([]byte("full total="))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p := parsePressure(text); p != nil && p.Some == nil && p.Full == nil {
			t.Errorf("a pressure without a stall of %q", text)
		}
	})
}

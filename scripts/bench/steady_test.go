// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// slowServer counts requests and stops answering once, for stall.
func slowServer(t *testing.T, stallAt int, stall time.Duration) (address string, count func() int) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if n++; n == stallAt {
			time.Sleep(stall)
		}
		_, _ = w.Write([]byte("ok"))
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

func TestSteadyLoad(t *testing.T) {
	address, count := slowServer(t, 0, 0)
	s, err := steadyLoad(address, 1000, 500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if s.requests != uint64(count()) || s.requests > 501 || s.open != 0 {
		t.Errorf("%d requests, the server saw %d; at most 501 are due", s.requests, count())
	}
	if s.p50 <= 0 || s.p99 < s.p50 {
		t.Errorf("p50 %v, p99 %v", s.p50, s.p99)
	}
}

// While the server stops for 300 of 500 ms, half of the requests come due; they
// are late although only one per connection was on its way.
func TestSteadyLoadCountsTheStall(t *testing.T) {
	address, count := slowServer(t, 50, 300*time.Millisecond)
	s, err := steadyLoad(address, 1000, 500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if s.requests != uint64(count()) {
		t.Errorf("%d requests, the server saw %d", s.requests, count())
	}
	if s.p50 < 10*time.Millisecond {
		t.Errorf("p50 %v hides the stall", s.p50)
	}
}

func TestSteadyLoadRefuses(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	if _, err := steadyLoad(s.Listener.Addr().String(), 1000, 100*time.Millisecond); err == nil {
		t.Error("no error for answers other than 200")
	}
}

// One stall in many parts does not change the typical one.
func TestTypicalPart(t *testing.T) {
	var latencies []time.Duration
	for i := range 1050 { // ten parts and a half
		latencies = append(latencies, time.Duration(i%100))
	}
	for i := range 50 {
		latencies[300+i] = time.Second
	}
	if got := typicalPart(latencies, 100); got != 98 {
		t.Errorf("got %d, want 98", got)
	}
	if got := typicalPart(latencies, 2000); got != 0 {
		t.Errorf("got %d for less than a part, want 0", got)
	}
}

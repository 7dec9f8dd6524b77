// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"probe/internal/clock"
	tracker "probe/internal/exchange"
	"probe/internal/testutil"
	"probe/pkg/events"
	"probe/pkg/loader"
)

// exchange is what a test compares of an exchange: the truth that the player
// tells, and what came out of the pipeline.
type exchange struct {
	Role, Method, Target string
	Status               int
	Outcome              string
	Request, Response    int // bytes
	Family               string
	PID, TID             int
}

// observer is the pipeline from the kernel to the rebuilt exchanges.
type observer struct {
	t       *testing.T
	kernel  *loader.Loader
	tracker *tracker.Tracker
	clock   *clock.Clock
	record  events.Record
	seen    []exchange
	// requests are those of seen in full, without what they borrowed.
	requests []events.Request
	failed   int // records that did not decode
}

// observe loads and attaches; everything is freed at the end of the test.
func observe(t *testing.T, o loader.Options) *observer {
	t.Helper()
	requireSource(t, o.Source)
	now, err := clock.New()
	if err != nil {
		t.Fatal(err)
	}
	kernel, err := loader.Load(o)
	if err != nil {
		t.Fatalf("load: %v\n%s", err, loader.VerifierLog(err))
	}
	obs := &observer{t: t, kernel: kernel, clock: now}
	obs.tracker = tracker.New(tracker.Options{Times: true}, obs.take)
	t.Cleanup(func() {
		if err := kernel.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if obs.failed > 0 {
			t.Errorf("%d records did not decode", obs.failed)
		}
	})
	return obs
}

func requireSource(t *testing.T, source loader.Source) {
	t.Helper()
	if source == loader.SourceSocket {
		testutil.RequireBPF(t, "6.3", "tracepoints sock_send_length and sock_recv_length")
		return
	}
	testutil.RequireBPF(t, "5.15", "tp_btf and ring buffer")
}

// eachSource runs a test with both sources, without and with a server's view only.
func eachSource(t *testing.T, test func(t *testing.T, source loader.Source)) {
	for _, source := range []loader.Source{loader.SourceSocket, loader.SourceSyscall} {
		t.Run(string(source), func(t *testing.T) { test(t, source) })
	}
}

var familyNames = map[events.Family]string{
	events.FamilyIPv4: "ipv4", events.FamilyIPv6: "ipv6", events.FamilyUnix: "unix", events.FamilyUnknown: "unknown",
}

func (o *observer) take(q *events.Request) {
	o.seen = append(o.seen, exchange{
		Role: q.Role.String(), Method: string(q.Method), Target: string(q.Target),
		Status: int(q.Status), Outcome: q.Outcome.String(),
		Request: int(q.RequestBytes), Response: int(q.ResponseBytes),
		Family: familyNames[q.Conn.Family], PID: int(q.PID), TID: int(q.TID),
	})
	kept := *q
	kept.Method, kept.Target, kept.Host = nil, nil, nil
	o.requests = append(o.requests, kept)
}

func (o *observer) feed(raw []byte) {
	if err := events.Decode(raw, &o.record); err != nil {
		o.failed++
		return
	}
	o.tracker.Feed(&o.record)
}

// drain takes what is in the ring.
func (o *observer) drain() {
	o.t.Helper()
	if _, _, err := o.kernel.Drain(o.feed); err != nil {
		o.t.Fatalf("drain: %v", err)
	}
	o.tracker.EndBatch()
}

// sweep asks for what is open. Requests read before olderNS are told alone.
func (o *observer) sweep(olderNS uint64) {
	o.t.Helper()
	_, unix := o.tracker.Pending()
	if unix {
		o.tracker.BeginSweep(o.clock.Now())
	}
	if err := o.kernel.Sweep(olderNS, unix); err != nil {
		o.t.Fatalf("sweep: %v", err)
	}
	o.drain()
	if unix {
		o.tracker.EndSweep()
	}
}

func (o *observer) poll() {
	o.t.Helper()
	o.drain()
	o.sweep(0)
}

// patience is how long a test waits for what it knows must come; on a machine
// that does nothing else everything has come after one millisecond.
const patience = 3 * time.Second

// pollFor polls until there are n exchanges, or patience ends.
func (o *observer) pollFor(n int) {
	o.t.Helper()
	for end := time.Now().Add(patience); len(o.seen) < n && time.Now().Before(end); {
		o.poll()
		time.Sleep(2 * time.Millisecond)
	}
}

// await polls until there are n exchanges, then once more for surplus ones, and
// returns and forgets them, in a stable order.
func (o *observer) await(n int) []exchange {
	o.t.Helper()
	o.pollFor(n)
	o.poll()
	seen := o.seen
	o.seen, o.requests = nil, nil
	return sorted(seen)
}

func sorted(list []exchange) []exchange {
	slices.SortFunc(list, func(a, b exchange) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Target, b.Target), cmp.Compare(a.Method, b.Method), cmp.Compare(a.Status, b.Status))
	})
	return list
}

// counter reads one counter of the kernel side.
func (o *observer) counter(name string) uint64 {
	o.t.Helper()
	all, err := o.kernel.Counters(nil)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, c := range all {
		if c.Name == name {
			return c.Value
		}
	}
	o.t.Fatalf("no counter %q", name)
	return 0
}

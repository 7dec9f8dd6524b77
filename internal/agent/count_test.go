// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probe/pkg/events"
)

// Requests with the same head get the name, route and series of the first, but only
// where these are their own, too. All are for the same slot.
func TestAlikeRequests(t *testing.T) {
	a, err := build(Options{
		Role: "both", Source: "auto", Interval: DefaultInterval, ShutdownTimeout: DefaultShutdownTimeout,
		Statsd: "stdout:", Stdout: io.Discard, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.names.close()
	const noPID = 1 << 22 // beyond the largest one: named by the command
	base := events.Request{HeadID: 1, Role: events.RoleServer, PID: noPID, Status: 200, Method: []byte("GET"), Target: []byte("/a"), EndNS: 1}
	conn := events.Conn{Family: events.FamilyIPv4, Comm: "one", Local: events.Endpoint{Port: 80}}
	one := func(change func(q *events.Request, c *events.Conn)) {
		q, c := base, conn
		q.Conn = &c
		change(&q, &c)
		a.nameRequest(&q)
	}
	same := func(*events.Request, *events.Conn) {}
	count := func(change func(q *events.Request, c *events.Conn)) {
		for range 3 {
			one(same)
			one(change)
		}
	}
	count(func(q *events.Request, _ *events.Conn) { q.Status += alikeSlots })
	count(func(q *events.Request, _ *events.Conn) { q.Role = events.RoleClient })
	count(func(q *events.Request, c *events.Conn) { q.PID, c.Comm = noPID+alikeSlots, "two" })
	count(func(_ *events.Request, c *events.Conn) { c.Local.Port = 81 })
	count(func(q *events.Request, _ *events.Conn) { q.HeadID, q.Target = 1+alikeSlots, []byte("/b") })
	for _, target := range []string{"/c", "/d"} { // 0: nothing is known of the head
		count(func(q *events.Request, _ *events.Conn) { q.HeadID, q.Target = 0, []byte(target) })
	}
	count(func(_ *events.Request, c *events.Conn) { c.Comm = "other" }) // a thread of one
	a.batchNS++
	count(same)

	got := map[string]uint64{}
	for _, one := range a.stats.Flush().Series {
		got[fmt.Sprint(one.Role, " ", one.Service, " ", one.Route, " ", one.Status)] = one.Requests
	}
	want := map[string]uint64{
		"server one-80 /a 200": 3*8 + 3 + 6, "server one-80 /a 456": 3, "client one /a 200": 3, "server two-80 /a 200": 3,
		"server one-81 /a 200": 3, "server one-80 /b 200": 3, "server one-80 /c 200": 3, "server one-80 /d 200": 3,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requests of each series (-want +got):\n%s", diff)
	}
}

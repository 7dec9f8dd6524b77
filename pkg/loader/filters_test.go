// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"io"
	"maps"
	"net"
	"os"
	"testing"

	"probe/pkg/loader"
)

// Filters act in the kernel: what they leave out is not even counted there.
// Only the player's traffic can match, so the counters are exact. (Both roles of
// a command name are what TestScenarios asks for.)
func TestFilters(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		requireSource(t, source)
		player, other := startChild(t), startChild(t)
		pid := []uint32{player.pid}
		tests := []struct {
			name string
			o    loader.Options
			want map[string]int // role → exchanges of three played
			once bool           // with one source is enough: nothing of it is the entry's
		}{
			{"default role", loader.Options{PIDs: pid}, map[string]int{"server": 3}, true},
			{"client role", loader.Options{PIDs: pid, Client: true}, map[string]int{"client": 3}, false},
			{"comm of the process, not of its thread", loader.Options{Comms: []string{player.comm}, PIDs: pid, Server: true, Client: true}, map[string]int{"server": 3, "client": 3}, false},
			{"comm of the thread", loader.Options{Comms: []string{"a thread"}, PIDs: pid, Server: true, Client: true}, nil, true},
			{"comm that begins the same", loader.Options{Comms: []string{player.comm[:4]}, PIDs: pid, Server: true, Client: true}, nil, false},
			{"port", loader.Options{Ports: []uint16{1, player.port}, PIDs: pid, Server: true, Client: true}, map[string]int{"server": 3, "client": 3}, false},
			{"another port", loader.Options{Ports: []uint16{other.port}, PIDs: pid, Server: true, Client: true}, nil, true},
			{"ourselves", loader.Options{PIDs: []uint32{uint32(os.Getpid())}, Server: true, Client: true}, nil, false},
		}
		for _, tt := range tests {
			if tt.once && source != loader.SourceSocket {
				continue
			}
			t.Run(tt.name, func(t *testing.T) {
				player.t, other.t = t, t
				tt.o.Source = source
				obs := observe(t, tt.o)
				player.play(order{Scenario: "on the known port"})
				other.play(order{Scenario: "on the known port"})
				ownTraffic(t)
				checkFiltered(t, obs, tt.want)
			})
		}
	})
}

// A connection is of the process that first moves bytes on it, not of the one that
// accepts it, looks whether something is there, and passes it on.
func TestFilterByWhoServes(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		requireSource(t, source)
		player := startChild(t)
		const passed = "served by another process"
		var worker uint32
		for _, x := range player.play(order{Scenario: passed}) {
			if x.Role == "server" {
				worker = uint32(x.PID)
			}
		}
		for pid, want := range map[uint32]map[string]int{worker: {"server": 1}, player.pid: {"client": 1}} {
			obs := observe(t, loader.Options{Source: source, PIDs: []uint32{pid}, Server: true, Client: true})
			player.play(order{Scenario: passed})
			got := map[string]int{}
			for _, x := range obs.await(1) {
				got[x.Role]++
			}
			if !maps.Equal(got, want) {
				t.Errorf("process %d: exchanges by role %v, want %v", pid, got, want)
			}
		}
	})
}

func checkFiltered(t *testing.T, obs *observer, want map[string]int) {
	t.Helper()
	total := want["server"] + want["client"]
	got := map[string]int{}
	for _, x := range obs.await(total) {
		if x.Target != "/on-the-known-port" {
			t.Errorf("exchange of someone else: %+v", x)
		}
		got[x.Role]++
	}
	if got["server"] != want["server"] || got["client"] != want["client"] {
		t.Errorf("exchanges by role %v, want %v", got, want)
	}
	if seen := obs.counter("kernel.requests_seen"); seen != uint64(total) {
		t.Errorf("the kernel side took %d requests, want %d", seen, total)
	}
	if records := obs.counter("kernel.records"); (records > 0) != (total > 0) {
		t.Errorf("%d records for %d exchanges", records, total)
	}
}

// ownTraffic is a request of this very process, which must never be observed.
func ownTraffic(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for _, step := range []struct {
		from, to net.Conn
		text     string
	}{{client, server, get("/ourselves")}, {server, client, answerOf(200, "")}} {
		if _, err := io.WriteString(step.from, step.text); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(step.to, make([]byte, len(step.text))); err != nil {
			t.Fatal(err)
		}
	}
}

// A text that is under way when probe starts does not say what the connection is.
func TestTextUnderWay(t *testing.T) {
	eachSource(t, func(t *testing.T, source loader.Source) {
		player := startChild(t)
		player.play(order{Scenario: "begin a long text and keep the connection"})
		obs := observe(t, loader.Options{Source: source, Server: true, Client: true, Comms: []string{player.comm}})
		want := sorted(player.play(order{Scenario: "end the long text, then ask"}))
		compareExchanges(t, want, obs.await(len(want)))
	})
}

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"errors"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"probe/internal/workload"
	"probe/pkg/events"
	"probe/pkg/loader"
)

// What is held outlives the memory it was borrowed from, and there is a limit.
func TestHeldRequestsAreCopies(t *testing.T) {
	n := &naming{}
	method, target, host := []byte("GET"), []byte("/a"), []byte("h")
	conn := &events.Conn{Comm: "c"}
	if !n.hold(&events.Request{Conn: conn, Method: method, Target: target, Host: host, Status: 204}) {
		t.Fatal("no room for the first")
	}
	method[0], target[0], host[0], conn.Comm = 'X', 'X', 'X', "other"
	got := n.held[0]
	if string(got.Method)+string(got.Target)+string(got.Host)+got.Conn.Comm != "GET/ahc" || got.Status != 204 {
		t.Errorf("held %+v of %+v", got, got.Conn)
	}
	for range maxHeld {
		n.hold(&events.Request{Conn: conn})
	}
	if len(n.held) != maxHeld || n.total != maxHeld || n.hold(&events.Request{Conn: conn}) {
		t.Errorf("%d held, %d in all, limit %d", len(n.held), n.total, maxHeld)
	}
}

func TestNameOptionsAreValidated(t *testing.T) {
	for _, n := range []NameOptions{{Services: []string{"x"}}, {Containers: []string{""}}, {Exes: []string{""}}} {
		if n.validate() == nil {
			t.Errorf("%+v is taken", n)
		}
	}
}

// askingKernel stands in for the kernel side: what it asks must be known.
type askingKernel struct {
	there, asked []loader.Process
	told         map[uint32]bool
	err          error
}

func (k *askingKernel) Processes(fn func(loader.Process)) error { return each(k.there, fn, k.err) }

func (k *askingKernel) Asked(fn func(loader.Process)) error { return each(k.asked, fn, k.err) }

func (k *askingKernel) Judge(p loader.Process, wanted bool) error {
	k.told[p.PID] = wanted
	return k.err
}

func each(all []loader.Process, fn func(loader.Process), err error) error {
	for _, p := range all {
		fn(p)
	}
	return err
}

// Every question is answered; processes that are gone are unwanted.
func TestJudging(t *testing.T) {
	r := workload.New(workload.Options{ProcRoot: t.TempDir()})
	defer r.Close()
	j := newJudging(r.Judge(workload.Filter{Exes: []string{"x"}}), slog.New(slog.DiscardHandler))
	k := &askingKernel{there: []loader.Process{{PID: 1}, {PID: 2}}, asked: []loader.Process{{PID: 3}}, told: map[uint32]bool{}}
	j.kernel, j.nowNS = k, func() uint64 { return 0 }
	if err := errors.Join(j.first(), j.turn()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[uint32]bool{1: false, 2: false, 3: false}, k.told); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
	counters := map[string]uint64{}
	j.report(func(name string, v uint64) { counters[name] = v })
	if counters["filter.processes_unwanted"] != 3 || counters["filter.processes_wanted"] != 0 {
		t.Errorf("counters %v", counters)
	}
	k.err = errors.New("gone")
	if j.first() == nil || j.turn() == nil {
		t.Error("a failure of the kernel side is not told")
	}
}

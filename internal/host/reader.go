// SPDX-License-Identifier: Apache-2.0

// Package host reads the state of the host: CPU, memory, pressure (PSI), run
// queue, scheduler delay, accept queues, and CPU, memory and pressure of each
// service's control group. It needs no privileges; what it cannot read is named
// in the state.
//
// proc.go is what /proc tells, listen.go asks the kernel for listening sockets,
// groups.go finds the control groups of services, group.go reads one, through
// files that stay open (kept.go).
package host

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/procfs"

	"probe/pkg/stats"
)

// Reader looks at the host for a stats.Snapshotter. ReadHost belongs to one
// goroutine; Report may be called from any.
type Reader struct {
	opt  Options
	proc procfs.FS

	layout layout
	groups []group
	// beyond is the number of control groups left out of groups.
	beyond int
	// listed counts the looks since groups was made; -1 asks for a new list.
	listed int
	// listedAt is the time of the look that made it.
	listedAt time.Duration
	buf      []byte
	// keep: the files of groups stay open.
	keep bool

	servicesRefused, listenersRefused atomic.Uint64
}

// New returns a Reader. The error is that of a proc file system that is not
// there.
func New(opt Options) (*Reader, error) {
	opt = opt.withDefaults()
	proc, err := procfs.NewFS(opt.ProcRoot)
	if err != nil {
		return nil, fmt.Errorf("read the host's state (HOST_PROC says where its /proc is): %w", err)
	}
	return &Reader{
		opt: opt, proc: proc, layout: findLayout(opt.SysRoot), listed: -1, buf: make([]byte, maxFileBytes),
		keep: mayKeep(opt.MaxServices),
	}, nil
}

// Close closes the files that are open between two looks. It must not be called
// during one; a later look opens them again.
func (r *Reader) Close() {
	for i := range r.groups {
		r.groups[i].close()
	}
}

// ReadHost looks at everything once; it is a stats.HostReader. The error is
// always nil: a source that fails is in HostState.Missing.
func (r *Reader) ReadHost(now time.Duration) (*stats.HostState, error) {
	look := &look{Reader: r, state: &stats.HostState{Time: now}}
	look.cpu()
	look.memory()
	look.pressure()
	look.load()
	look.schedDelay()
	look.listen()
	look.services()
	return look.state, nil
}

// Report hands over the Reader's own counters: what its limits refused.
func (r *Reader) Report(report func(name string, value uint64)) {
	report("host.services_refused", r.servicesRefused.Load())
	report("host.listeners_refused", r.listenersRefused.Load())
}

// look is one call of ReadHost.
type look struct {
	*Reader
	state *stats.HostState
}

// missing notes a source that was not available.
func (l *look) missing(source string, err error) {
	l.state.Missing = append(l.state.Missing, stats.MissingSource{Source: source, Reason: err.Error()})
}

// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"probe/internal/workload"
	"probe/pkg/events"
	"probe/pkg/stats"
)

// alike remembers what was found out of a request for those that follow in the
// same batch and differ from it in nothing but times and sizes: they get the same
// name, route and series. Looking these up takes as long as all else of a request.
type alike struct {
	headID  uint64
	batchNS uint64
	pid     uint32
	role    events.Role
	port    uint16
	status  uint16
	comm    string
	cgroup  uint64

	name  *workload.Name
	route string
	place stats.Place
}

// alikeSlots is how many are remembered; a power of two.
const alikeSlots = 256

// alikeOf returns the place for requests like q, and whether it is filled; nil if
// q is not to be compared.
func (a *Agent) alikeOf(q *events.Request) (like *alike, filled bool) {
	if q.HeadID == 0 || a.trace != nil {
		return nil, false
	}
	like = &a.alike[(q.HeadID+3*uint64(q.Status)+5*uint64(q.PID))%alikeSlots]
	return like, like.headID == q.HeadID && like.batchNS == a.batchNS &&
		like.pid == q.PID && like.role == q.Role && like.port == q.Conn.Local.Port &&
		like.status == q.Status && like.comm == q.Conn.Comm && like.cgroup == q.Conn.Cgroup
}

// nameRequest receives every rebuilt exchange from the tracker: it names it and
// records it, or holds it.
func (a *Agent) nameRequest(q *events.Request) {
	like, filled := a.alikeOf(q)
	if filled {
		q.Service, q.Origin, q.Tags, q.Route = like.name.Service, like.name.Origin, like.name.Tags, like.route
		a.stats.RecordAt(q, &like.place)
		return
	}
	name, known := a.namesOf(q)
	if !known {
		if a.names.hold(q) {
			return
		}
		a.count(q, a.provisional(q), new(stats.Place))
		return
	}
	if like == nil {
		a.count(q, name, new(stats.Place))
		return
	}
	*like = alike{
		headID: q.HeadID, batchNS: a.batchNS, pid: q.PID, role: q.Role, port: q.Conn.Local.Port,
		status: q.Status, comm: q.Conn.Comm, cgroup: q.Conn.Cgroup, name: name,
	}
	a.count(q, name, &like.place)
	like.route = q.Route
}

// count records a request whose process has a name.
func (a *Agent) count(q *events.Request, name *workload.Name, at *stats.Place) {
	q.Service, q.Origin, q.Tags = name.Service, name.Origin, name.Tags
	if len(q.Target) > 0 {
		q.Route = a.routes.Template(q.Service, q.Target)
	}
	a.stats.RecordAt(q, at)
	if q.Role == events.RoleServer {
		a.delays.served(q.PID, q.Service)
	}
	if a.trace != nil {
		a.parts.enter(stageOutput) // it may write, and the reader of it be slow
		a.trace.Print(q)
		a.parts.enter(stageReader)
	}
}

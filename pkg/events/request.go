// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// Role says which end of a connection the observed process is.
type Role uint8

// Roles. Both ends on one host are two exchanges; only RoleServer counts as a
// request of a service.
const (
	RoleUnknown Role = iota
	RoleServer
	RoleClient
)

var roleNames = [...]string{"unknown", "server", "client"}

// String returns "unknown", "server" or "client".
func (r Role) String() string { return nameOf(roleNames[:], int(r)) }

// Outcome says how an exchange ended.
type Outcome uint8

// Outcomes of an exchange.
const (
	// OutcomeOK: the response is complete and its status is below 500.
	OutcomeOK Outcome = iota
	// OutcomeError: the response is complete and its status is 500 or above.
	OutcomeError
	// OutcomeAborted: the connection ended before the response did.
	OutcomeAborted
	// OutcomeUpgraded: the connection left HTTP (101, or CONNECT and 2xx).
	OutcomeUpgraded
	// OutcomeUnanswered: the connection ended before any response byte.
	OutcomeUnanswered
	// OutcomeInProgress: still open after the age limit, or at shutdown; the
	// times and bytes are those known so far.
	OutcomeInProgress
)

var outcomeNames = [...]string{"ok", "error", "aborted", "upgraded", "unanswered", "in_progress"}

// String returns the outcome's stable name, as printed by `probe trace --json`.
func (o Outcome) String() string { return nameOf(outcomeNames[:], int(o)) }

// Failed reports whether the exchange counts as an error: an answer with 500 or
// above, no answer, or one that was cut short.
func (o Outcome) Failed() bool {
	return o == OutcomeError || o == OutcomeAborted || o == OutcomeUnanswered
}

// Endpoint addresses of a connection.
type Endpoint struct {
	// Addr is an IPv4 address in its first 4 bytes, an IPv6 address, or zero
	// for a Unix socket.
	Addr [16]byte
	// Port is the TCP port in host order; 0 for a Unix socket.
	Port uint16
}

// Family is the address family of a connection.
type Family uint8

// Address families. FamilyUnknown stands for a connection whose addresses were
// lost with the record that carried them.
const (
	FamilyUnknown Family = iota
	FamilyIPv4
	FamilyIPv6
	FamilyUnix
)

// Conn describes the connection of an exchange; it is shared by all its
// requests and must not be changed by a consumer.
type Conn struct {
	// ID is unique while the agent runs.
	ID uint64
	// Inode identifies the socket in /proc/PID/fd and in sock_diag; 0 if unknown.
	Inode         uint64
	Family        Family
	Local, Remote Endpoint
	// Comm is the command name (at most 15 bytes) of the process that read or
	// sent the request, not of the thread. Where it passed the connection on
	// there is another Conn, with the same ID.
	Comm string
	// Cgroup is the id of that process's control group in the hierarchy of version
	// 2 (the inode number of its directory), when this was told: it tells one that
	// is gone by now. 0 if unknown; 1, the root, where the host uses version 1 only.
	Cgroup uint64
}

// Wait is the time a request spent before the server read it. Zero where Known
// is false.
type Wait struct {
	// Accept is the part of the wait before the process first touched the
	// connection (first request of a connection only).
	Accept time.Duration
	// Socket is arrival → read, less Accept.
	Socket time.Duration
	// Known is false where the kernel keeps no arrival time: Unix sockets,
	// the client role, response without its request.
	Known bool
}

// Request is one HTTP exchange, the domain type of the program.
//
// The byte slices are borrowed: they are valid only until the callback that
// received the Request returns. Copy what must live longer.
type Request struct {
	Conn    *Conn
	Role    Role
	Outcome Outcome
	// PID (tgid) and TID of the task that read the request (server) or sent it
	// (client), in the initial pid namespace.
	PID, TID uint32
	// Method as sent; empty when the request was not seen.
	Method []byte
	// Target as sent (origin, absolute, authority or asterisk form), query
	// string included; cut at the capture limit.
	Target []byte
	// Host is the Host header's value; empty when absent or not captured.
	Host []byte
	// HeadID is equal for requests whose heads are the same bytes, so that what was
	// made of one holds for the next, too. 0: not known; never used twice.
	HeadID uint64
	// ProtoMinor is x of HTTP/1.x of the response, else of the request.
	ProtoMinor uint8
	// Status is the final status code, 0 when there was no response.
	Status uint16
	// Service is the name from internal/workload and Route the template from
	// internal/route; both are filled in after reconstruction.
	Service, Route string
	// Origin is the container and pod of the process, nil where it is in none;
	// from internal/workload, too. It must not be changed.
	Origin *Origin
	// Tags are the part of Origin that series are told apart by.
	Tags OriginKey

	// StartNS is the start of the exchange in nanoseconds of CLOCK_MONOTONIC:
	// arrival of the first byte when known, else its read; client role: first
	// byte handed to the kernel. 0 when the request was not seen.
	StartNS uint64
	// EndNS is the time of the last byte of the response, or of the close that
	// ended the exchange without one; same clock. Always set.
	EndNS uint64
	// TTFB is start → first byte of the final response; 0 if none.
	TTFB time.Duration
	// Duration is start → last byte of the response.
	Duration time.Duration
	Wait     Wait
	Times    Times
	// RequestBytes and ResponseBytes are all bytes of the message on the
	// connection: heads, framing, bodies and interim (1xx) responses.
	RequestBytes, ResponseBytes uint64
	Flags                       Flags
}

// Flags mark what is not certain about a Request.
type Flags uint8

// Flags of a Request.
const (
	// FlagNoRequest: the response was seen without its request.
	FlagNoRequest Flags = 1 << iota
	// FlagTargetCut: the target was longer than the capture limit.
	FlagTargetCut
	// FlagBytesUncertain: a record was lost or a head not captured, so the byte
	// counts may include a neighbour's bytes.
	FlagBytesUncertain
	// FlagTimeUncertain: the same for the times.
	FlagTimeUncertain
)

func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return "invalid"
	}
	return names[i]
}

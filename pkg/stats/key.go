// SPDX-License-Identifier: Apache-2.0

package stats

import (
	"cmp"
	"strings"

	"probe/pkg/events"
)

// Values of Key fields that no request carries.
const (
	// Other is the Service, Method and Route of an overflow series.
	Other = "{other}"
	// MethodOther stands for every method outside the known list (the name
	// OpenTelemetry's HTTP conventions use), so that a client cannot create
	// series by inventing methods.
	MethodOther = "_OTHER"
	// MethodUnknown stands for a request that was not seen, only its response.
	MethodUnknown = "_UNKNOWN"
)

// Key identifies a series.
type Key struct {
	// Service and Route as in events.Request.
	Service string `json:"service"`
	// Method is one of RFC 9110, RFC 5789 (PATCH), WebDAV (RFC 4918, REPORT of
	// RFC 3253, SEARCH of RFC 5323), MethodOther, MethodUnknown or Other.
	// Methods are case-sensitive: "get" is MethodOther.
	Method string      `json:"method"`
	Route  string      `json:"route"`
	Role   events.Role `json:"role"`
	// Status is the final status code, 0 when there was no response.
	Status uint16 `json:"status"`
}

// Compare orders keys by role, service, route, method and status.
func (k Key) Compare(o Key) int {
	if c := cmp.Compare(k.Role, o.Role); c != 0 {
		return c
	}
	if c := strings.Compare(k.Service, o.Service); c != 0 {
		return c
	}
	if c := strings.Compare(k.Route, o.Route); c != 0 {
		return c
	}
	if c := strings.Compare(k.Method, o.Method); c != 0 {
		return c
	}
	return cmp.Compare(k.Status, o.Status)
}

// method is a bounded method; as a number it makes the map key cheap to hash.
type method uint8

const (
	methodUnknown method = iota
	methodOther
	methodGet
	methodHead
	methodPost
	methodPut
	methodDelete
	methodConnect
	methodOptions
	methodTrace
	methodPatch
	methodPropfind
	methodProppatch
	methodMkcol
	methodCopy
	methodMove
	methodLock
	methodUnlock
	methodReport
	methodSearch
)

var methodNames = [...]string{
	MethodUnknown, MethodOther,
	"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH",
}

func (m method) String() string { return methodNames[m] }

// methodOf bounds a method as sent. The conversions in the switch do not allocate.
func methodOf(b []byte) method {
	switch string(b) {
	case "":
		return methodUnknown
	case "GET":
		return methodGet
	case "HEAD":
		return methodHead
	case "POST":
		return methodPost
	case "PUT":
		return methodPut
	case "DELETE":
		return methodDelete
	case "CONNECT":
		return methodConnect
	case "OPTIONS":
		return methodOptions
	case "TRACE":
		return methodTrace
	case "PATCH":
		return methodPatch
	case "PROPFIND":
		return methodPropfind
	case "PROPPATCH":
		return methodProppatch
	case "MKCOL":
		return methodMkcol
	case "COPY":
		return methodCopy
	case "MOVE":
		return methodMove
	case "LOCK":
		return methodLock
	case "UNLOCK":
		return methodUnlock
	case "REPORT":
		return methodReport
	case "SEARCH":
		return methodSearch
	}
	return methodOther
}

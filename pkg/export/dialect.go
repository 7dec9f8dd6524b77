// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"strings"
)

// Dialect is how a line carries the host, service, route, method and status.
type Dialect string

// Dialects. To add one with tags, describe its syntax in dialect_tagged.go and
// list it in dialects.
const (
	// Plain folds everything into the name, for receivers without tags.
	Plain Dialect = "plain"
	// DogStatsD appends "|#key:value,…" (protocol v1.0).
	DogStatsD Dialect = "dogstatsd"
	// DogStatsD11 is DogStatsD with several timings on one line (protocol
	// v1.1), which only Datadog's agent and a few others read.
	DogStatsD11 Dialect = "dogstatsd-1.1"
	// Influx writes "name,key=value:1|c".
	Influx Dialect = "influx"
	// Graphite writes "name;key=value:1|c", as the first statsd reads it.
	Graphite Dialect = "graphite"
	// SignalFx writes "name[key=value]:1|c".
	SignalFx Dialect = "signalfx"
	// Librato writes "name#key=value:1|c".
	Librato Dialect = "librato"
)

// dialects in the order in which errors name them.
func dialects() []Dialect {
	return []Dialect{Plain, DogStatsD, DogStatsD11, Influx, Graphite, SignalFx, Librato}
}

// ParseDialect returns the dialect of that name; "" is Plain.
func ParseDialect(name string) (Dialect, error) {
	if name == "" {
		return Plain, nil
	}
	for _, d := range dialects() {
		if string(d) == name {
			return d, nil
		}
	}
	return "", fmt.Errorf("statsd dialect %q is unknown; use one of: %s", name, dialectList())
}

// dialectList names all dialects, separated by ", ".
func dialectList() string {
	var names []string
	for _, d := range dialects() {
		names = append(names, string(d))
	}
	return strings.Join(names, ", ")
}

// Datadog reports whether d is one of Datadog's dialects.
func (d Dialect) Datadog() bool { return d == DogStatsD || d == DogStatsD11 }

// identity is what the lines of one series have in common.
type identity struct {
	// prefix is a valid dotted name; everything else is as it came.
	prefix, scope string
	host          string
	// service is not used for levels levelSelf and levelHost; route, method and status are
	// used for levelRoute only.
	service, route, method, status string
	level                          level
}

// level says which fields of an identity are used.
type level uint8

const (
	levelRoute level = iota
	levelService
	levelSelf
	levelHost
)

// field returns a field of the identity, and whether its level has one.
func (id *identity) field(f Field) (string, bool) {
	switch f {
	case FieldHost:
		return id.host, true
	case FieldService:
		return id.service, id.level == levelService || id.level == levelRoute
	case FieldMethod:
		return id.method, id.level == levelRoute
	case FieldRoute:
		return id.route, id.level == levelRoute
	case FieldStatus:
		return id.status, id.level == levelRoute
	}
	return "", false
}

// parts of a line; with the metric's name it is
// head + name + mid + ":" + value + "|" + type + rate + tail.
type parts struct {
	// head is empty or ends in a dot.
	head string
	// mid is what follows the name: tags, or the rest of a name template.
	mid string
	// tail is for dialects that put tags at the end.
	tail string
}

// renderer makes the parts of a series. It runs once per series, not per line.
type renderer interface {
	render(id *identity) parts
	// names reports whether lines say what f is.
	names(f Field) bool
}

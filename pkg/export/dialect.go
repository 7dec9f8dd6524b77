// SPDX-License-Identifier: Apache-2.0

package export

import (
	"fmt"
	"strings"
)

// Dialect is how a line carries the host, service, route, method and status.
type Dialect string

// Dialects. To add one, write its renderer in a file of its own and list it in
// dialects.
const (
	// Plain folds everything into the name, for receivers without tags.
	Plain Dialect = "plain"
	// DogStatsD appends "|#key:value,…".
	DogStatsD Dialect = "dogstatsd"
)

// dialects in the order in which errors name them.
func dialects() []Dialect { return []Dialect{Plain, DogStatsD} }

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

func dialectList() string {
	var names []string
	for _, d := range dialects() {
		names = append(names, string(d))
	}
	return strings.Join(names, ", ")
}

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

// parts of a line; with the metric's name it is
// head + name + mid + ":" + value + "|" + type + rate + tail.
type parts struct {
	// head ends in a dot.
	head string
	// mid is for dialects that put tags between name and value.
	mid string
	// tail is for dialects that put tags at the end.
	tail string
}

// renderer makes the parts of a series. It runs once per series, not per line.
type renderer interface {
	render(id identity) parts
}

func (d Dialect) renderer() renderer {
	if d == DogStatsD {
		return dogstatsd{}
	}
	return plain{}
}

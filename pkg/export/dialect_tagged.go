// SPDX-License-Identifier: Apache-2.0

package export

import (
	"slices"
	"strings"
)

// syntax is how a dialect writes tags:
// open + key + assign + value + separator + key + assign + value + end.
type syntax struct {
	open, assign, separator, end string
	// atEnd: behind type and rate instead of behind the name.
	atEnd bool
	// value makes a tag's value safe.
	value func(key, value string) string
}

// syntaxOf returns the syntax of a dialect with tags.
func syntaxOf(d Dialect) syntax {
	switch d {
	case Influx:
		return syntax{",", "=", ",", "", false, strictTagValue}
	case Graphite:
		return syntax{";", "=", ";", "", false, graphiteTagValue}
	case SignalFx:
		return syntax{"[", "=", ",", "]", false, strictTagValue}
	case Librato:
		return syntax{"#", "=", ",", "", false, strictTagValue}
	}
	return syntax{"|#", ":", ",", "", true, tagValue}
}

// tagged writes prefix.scope.metric and the rest as tags: host, service,
// method, route, status, then the constant ones. Figures of a whole service
// have host and service only, self counters the host.
type tagged struct {
	syntax syntax
	fields []Field
	// tags are on every line, selfTags on those of self counters as well.
	tags, selfTags []Tag
}

func (t tagged) names(f Field) bool { return slices.Contains(t.fields, f) }

func (t tagged) render(id *identity) parts {
	var b strings.Builder
	add := func(key, value string) {
		if b.Len() == 0 {
			b.WriteString(t.syntax.open)
		} else {
			b.WriteString(t.syntax.separator)
		}
		b.WriteString(key)
		b.WriteString(t.syntax.assign)
		b.WriteString(t.syntax.value(key, value))
	}
	for _, f := range t.fields {
		if value, has := id.field(f); has {
			add(string(f), value)
		}
	}
	for _, tag := range t.tags {
		add(tag.Key, tag.Value)
	}
	if id.level == levelSelf {
		for _, tag := range t.selfTags {
			add(tag.Key, tag.Value)
		}
	}
	if b.Len() > 0 {
		b.WriteString(t.syntax.end)
	}
	p := parts{head: id.prefix + "." + id.scope + "."}
	if t.syntax.atEnd {
		p.tail = b.String()
	} else {
		p.mid = b.String()
	}
	return p
}

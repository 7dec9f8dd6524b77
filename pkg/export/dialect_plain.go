// SPDX-License-Identifier: Apache-2.0

package export

import (
	"slices"
	"strings"
)

// plain writes everything into the name, as a template says. A segment with a
// variable that the line does not have is left out: figures of a whole service
// have neither route, method nor status, those of the host no service either.
// Self counters have no host: they are sums over all hosts.
type plain struct{ template *template }

func (t plain) names(f Field) bool {
	return slices.ContainsFunc(t.template.segments, func(s templateSegment) bool {
		return slices.ContainsFunc(s, func(token templateToken) bool { return token.variable == string(f) })
	})
}

func (t plain) render(id *identity) parts {
	values := t.values(id)
	t.fit(id, values)
	var head, mid []string
	before, after := "", "" // what shares a segment with the metric's name
	found := false
	for _, segment := range t.template.segments {
		if !segment.complete(values) {
			continue
		}
		text, has := segment.text(values)
		if has {
			before, after, _ = strings.Cut(text, metricMark)
			found = true
			continue
		}
		if found {
			mid = append(mid, "."+text)
		} else {
			head = append(head, text+".")
		}
	}
	p := parts{head: strings.Join(head, "") + before, mid: after + strings.Join(mid, "")}
	if p.head != "" && !isLetter(p.head[0]) {
		p.head = "x" + p.head
	}
	return p
}

// metricMark stands for the metric's name while a segment is put together; no
// safe text contains it.
const metricMark = "\x00"

// complete reports whether the segment has a value for each variable.
func (s templateSegment) complete(values map[string]string) bool {
	for _, token := range s {
		if _, has := values[token.variable]; token.variable != "" && !has {
			return false
		}
	}
	return true
}

// text puts the segment together; has reports whether the metric's name is in it.
func (s templateSegment) text(values map[string]string) (text string, has bool) {
	for _, token := range s {
		text += token.literal + values[token.variable]
		has = has || token.variable == varMetric
	}
	return text, has
}

// values are the segments for the variables that the line has.
func (t plain) values(id *identity) map[string]string {
	values := make(map[string]string)
	for _, f := range Fields() {
		value, has := id.field(f)
		switch {
		case !has || f == FieldHost && id.level == levelSelf:
		case f == FieldRoute:
			values[string(f)] = routeSegment(value)
		case f == FieldMethod:
			values[string(f)] = cut(segment(value), minSegmentLength, value)
		default:
			values[string(f)] = segment(value)
		}
	}
	for _, tag := range t.template.tags {
		values[tag.Key] = constant(tag)
	}
	// No tag of the same key replaces these: names would become the same.
	values[varPrefix], values[varScope], values[varMetric] = id.prefix, id.scope, metricMark
	return values
}

// constant is the segment of a constant tag.
func constant(tag Tag) string { return cut(segment(tag.Value), minSegmentLength, tag.Value) }

// fit cuts host, service and route until the longest name fits.
func (t plain) fit(id *identity, values map[string]string) {
	used := longestName
	var pieces []*piece
	for _, segment := range t.template.segments {
		if !segment.complete(values) {
			continue
		}
		used++ // the dot
		for _, token := range segment {
			used += len(token.literal)
			switch f := Field(token.variable); f {
			case FieldHost, FieldService, FieldRoute, FieldNamespace, FieldWorkload, FieldContainer, FieldPod, FieldContainerID:
				original, _ := id.field(f)
				pieces = append(pieces, &piece{name: token.variable, segment: values[token.variable], original: original})
			default:
				used += len(values[token.variable])
			}
		}
	}
	cutPieces(maxNameLength-used, pieces)
	for _, p := range pieces {
		values[p.name] = p.segment
	}
}

// piece is a segment and what it was made from.
type piece struct{ name, segment, original string }

// cutPieces cuts the longest pieces until all together have at most limit
// characters. It stops at minSegmentLength each.
func cutPieces(limit int, pieces []*piece) {
	for len(pieces) > 0 {
		total, longest := 0, pieces[0]
		for _, p := range pieces {
			total += len(p.segment)
			if len(p.segment) > len(longest.segment) {
				longest = p
			}
		}
		length := len(longest.segment)
		if total <= limit || length <= minSegmentLength {
			return
		}
		// Not below the second longest at once would keep more of it, but one
		// long segment is the rule.
		longest.segment = cut(longest.segment, max(length-(total-limit), minSegmentLength), longest.original)
	}
}

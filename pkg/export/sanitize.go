// SPDX-License-Identifier: Apache-2.0

package export

import (
	"hash/fnv"
	"strconv"
	"strings"
)

const (
	// maxNameLength is the longest metric name (Datadog's limit).
	maxNameLength = 200
	// maxTagLength is the longest "key:value" (Datadog's limit).
	maxTagLength = 200
	// maxPrefixLength leaves room in a name for the shortest host, service and
	// route.
	maxPrefixLength = 64
	// minSegmentLength is what cutting leaves of a segment: 15 characters and
	// the hash.
	minSegmentLength = 24
	hashLength       = 8
	// unknown stands for an empty value.
	unknown = "unknown"
	// rootRoute stands for the route "/" in a plain name.
	rootRoute = "root"
)

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func isSafe(c byte) bool { return isLetter(c) || '0' <= c && c <= '9' || c == '_' }

// segment makes one segment of a dotted name of s: each run of characters
// other than letters, digits and '_' becomes one '_', at both ends none, so
// "/users/{id}" is users_id and 10.0.0.1 is 10_0_0_1. An empty s is "unknown";
// when nothing is left of another s, it is "x" and a hash of s. Different
// strings may become the same segment.
func segment(s string) string {
	if s == "" {
		return unknown
	}
	var b strings.Builder
	gap := false
	for i := range len(s) {
		if !isSafe(s[i]) {
			gap = true
			continue
		}
		if gap && b.Len() > 0 {
			b.WriteByte('_')
		}
		gap = false
		b.WriteByte(s[i])
	}
	if b.Len() == 0 {
		return "x" + hash(s)
	}
	return b.String()
}

func routeSegment(route string) string {
	if route == "/" {
		return rootRoute
	}
	return segment(route)
}

// dotted makes a dotted name of s, at most limit characters long, that begins
// with a letter and has no empty segment.
func dotted(s string, limit int) string {
	var segments []string
	for part := range strings.SplitSeq(s, ".") {
		if part != "" {
			segments = append(segments, segment(part))
		}
	}
	name := strings.Join(segments, ".")
	if name == "" {
		name = unknown
	}
	if !isLetter(name[0]) {
		name = "x" + name
	}
	return cut(name, limit, s)
}

// cut shortens s to limit characters, the last of which are '_' and a hash of
// what s was made from, so that long names stay distinct and stable.
func cut(s string, limit int, original string) string {
	if len(s) <= limit {
		return s
	}
	keep := max(limit-hashLength-1, 0)
	return strings.TrimRight(s[:keep], ".") + "_" + hash(original)
}

func hash(s string) string {
	h := fnv.New32a()
	h.Write([]byte(s))
	digits := strconv.FormatUint(uint64(h.Sum32()), 16)
	return strings.Repeat("0", hashLength-len(digits)) + digits
}

// tagValue makes a DogStatsD tag value of s: characters outside printable
// ASCII and those with a meaning in some dialect become '_'; ':' and '/' stay,
// but no ':' at the end. With its key it is at most maxTagLength long.
func tagValue(key, s string) string {
	value := mapTag(key, s, func(c rune) rune {
		if c <= ' ' || c > '~' || strings.ContainsRune(",|#;=[]", c) {
			return '_'
		}
		return c
	})
	if strings.HasSuffix(value, ":") {
		value = value[:len(value)-1] + "_"
	}
	return value
}

// strictTagValue is tagValue without ':', which ends a name.
func strictTagValue(key, s string) string {
	return strings.ReplaceAll(tagValue(key, s), ":", "_")
}

// graphiteTagValue keeps what the first statsd keeps: letters, digits, '_', '.'
// and '-'. It makes '-' of '/' and so do we.
func graphiteTagValue(key, s string) string {
	return mapTag(key, s, func(c rune) rune {
		switch {
		case c == '/':
			return '-'
		case c < 0x80 && isSafe(byte(c)) || c == '.' || c == '-':
			return c
		}
		return '_'
	})
}

func mapTag(key, s string, safe func(rune) rune) string {
	if s == "" {
		return unknown
	}
	return cut(strings.Map(safe, s), max(maxTagLength-len(key)-1, minSegmentLength), s)
}

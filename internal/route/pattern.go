// SPDX-License-Identifier: Apache-2.0

package route

import (
	"errors"
	"fmt"
	"strings"
)

// pattern is a user pattern, split at its slashes.
type pattern struct {
	text string
	// prefix is the text before the first placeholder; most paths fail on it.
	prefix string
	parts  []part
	// rest: anything may follow the parts.
	rest bool
}

type part struct {
	text  string
	param bool
}

// parsePattern checks and splits a user pattern.
func parsePattern(text string) (pattern, error) {
	p, err := splitPattern(text)
	if err != nil {
		return pattern{}, fmt.Errorf("route pattern %q: %w", text, err)
	}
	return p, nil
}

func splitPattern(text string) (pattern, error) {
	switch {
	case !strings.HasPrefix(text, "/"):
		return pattern{}, errors.New("must start with a slash")
	case len(text) > maxTemplate:
		return pattern{}, fmt.Errorf("longer than %d bytes", maxTemplate)
	}
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' || c == '?' || c == '#' {
			return pattern{}, fmt.Errorf("%q is not allowed", rune(c))
		}
	}
	p := pattern{text: text, prefix: text}
	if i := strings.IndexAny(text, "{*"); i >= 0 {
		p.prefix = text[:i]
	}
	segs := strings.Split(text[1:], "/")
	for i, seg := range segs {
		one, rest, err := parsePart(seg)
		if err != nil {
			return pattern{}, err
		}
		if rest && i < len(segs)-1 {
			return pattern{}, fmt.Errorf("%q is only allowed as the last segment", seg)
		}
		if rest {
			p.rest = true
		} else {
			p.parts = append(p.parts, one)
		}
	}
	return p, nil
}

func parsePart(seg string) (one part, rest bool, err error) {
	if seg == "*" || seg == "**" {
		return part{}, true, nil
	}
	if !strings.ContainsAny(seg, "{}*") {
		return part{text: seg}, false, nil
	}
	name, opened := strings.CutPrefix(seg, "{")
	name, closed := strings.CutSuffix(name, "}")
	name, rest = strings.CutSuffix(name, "...")
	if !opened || !closed || strings.ContainsAny(name, "{}*") {
		return part{}, false, fmt.Errorf("%q: a placeholder must be a whole segment, like {id}, or * at the end", seg)
	}
	if name == "" {
		return part{}, false, fmt.Errorf("%q: the placeholder has no name", seg)
	}
	return part{text: seg, param: true}, rest, nil
}

// match reports whether the pattern covers a path. A slash at the end is
// ignored after a placeholder.
func (p *pattern) match(path []byte) bool {
	if len(path) < len(p.prefix) || string(path[:len(p.prefix)]) != p.prefix {
		return false
	}
	tail, more := path[1:], true
	afterParam := false
	for _, part := range p.parts {
		if !more {
			return false
		}
		var seg []byte
		seg, tail, more = cutSegment(tail)
		if part.param && len(seg) == 0 || !part.param && string(seg) != part.text {
			return false
		}
		afterParam = part.param
	}
	if p.rest {
		return more
	}
	return !more || afterParam && len(tail) == 0
}

// SPDX-License-Identifier: Apache-2.0

package route

import "bytes"

// appendParts appends a segment of which only a part varies: an identifier with
// what follows it (12345.json, 42:cancel), a prefix before a UUID or a date, or
// a file name that carries a hash (app.3f2a9c81.js, main-4d5e6f7a8b.css). It
// appends nothing and returns false if the segment is none of these.
func appendParts(dst, seg []byte) ([]byte, bool) {
	name, ext := cutExtension(seg)
	if i := bytes.IndexAny(seg, ".:"); i > 0 && standsApart(seg[i+1:]) {
		s := measure(seg[:i])
		if ph := identifier(seg[:i], &s); ph != "" {
			return appendHashed(append(dst, ph...), seg[i:]), true
		}
	}
	if n := len(name) - uuidLen; n > 0 && !isAlnum(name[n-1]) {
		if s := measure(name[n:]); isUUID(name[n:], &s) {
			return append(append(append(dst, name[:n]...), phUUID...), ext...), true
		}
	}
	if n := len(name) - dateLen; n > 0 && !isAlnum(name[n-1]) && isDate(name[n:]) {
		return append(append(append(dst, name[:n]...), phDate...), ext...), true
	}
	if len(ext) == 0 {
		return dst, false
	}
	return append(appendHashed(dst, name), ext...), true
}

// cutExtension splits a file name before its last dot, if a letter follows it.
func cutExtension(seg []byte) (name, ext []byte) {
	i := bytes.LastIndexByte(seg, '.')
	if i <= 0 || i == len(seg)-1 || !isLetter(seg[i+1]) {
		return seg, nil
	}
	return seg[:i], seg[i:]
}

// standsApart reports whether a number before suffix is a name of its own: an
// extension or verb of two letters and more follows, or a hash. It is not in
// 11.x and 3.6.0.min.js.
func standsApart(suffix []byte) bool {
	if len(suffix) > 1 && isLetter(suffix[0]) {
		return true
	}
	part, _ := cutPart(suffix)
	return len(part) < len(suffix) && partPlaceholder(part) != ""
}

// appendHashed appends a file name, its hashes and long numbers replaced.
func appendHashed(dst, name []byte) []byte {
	for len(name) > 0 {
		part, rest := cutPart(name)
		if ph := partPlaceholder(part); ph != "" {
			dst = append(dst, ph...)
		} else {
			dst = append(dst, part...)
		}
		if len(rest) > 0 {
			dst = append(dst, rest[0])
			rest = rest[1:]
		}
		name = rest
	}
	return dst
}

// cutPart splits a name before its first separator.
func cutPart(name []byte) (part, rest []byte) {
	for i, c := range name {
		if c == '.' || c == '-' || c == '_' {
			return name[:i], name[i:]
		}
	}
	return name, nil
}

// partPlaceholder returns the placeholder of a part of a file name that is a
// number or a hash, else "".
func partPlaceholder(part []byte) string {
	if len(part) < longNumber {
		return ""
	}
	s := measure(part)
	switch {
	case s.digits == len(part):
		return phID
	case s.digits == 0 || s.others > 0 || len(part) < minMixedHex:
		return ""
	case s.digits+s.hexLetters == len(part):
		return phHash
	case s.lower > 0 && s.upper > 0 && 2*s.changes >= len(part):
		return phHash // base 62
	case len(part) >= minHex && s.switches >= 4:
		return phHash // base 36
	}
	return ""
}

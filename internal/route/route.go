// SPDX-License-Identifier: Apache-2.0

// Package route turns request targets into route templates: /users/12345 into
// /users/{id}. The number of templates, and the memory behind them, is bounded
// whatever the targets are.
//
// A target is reduced to its path. The first user pattern that matches gives
// the template. Otherwise each segment is judged by itself: what looks like an
// identifier becomes a placeholder, a word stays. What stays is kept in a tree
// whose nodes take a limited number of different words; later ones become "*".
// Each service has a tree of its own (Services).
package route

import (
	"bytes"
	"fmt"
)

// Templates that stand for no path.
const (
	// Unknown is the template of an empty target: the request was not seen.
	Unknown = "{unknown}"
	// Other stands for every path whose template came after MaxRoutes others.
	Other = "{other}"
	// Authority is the template of host:port, the target of CONNECT.
	Authority = "{authority}"
	// Asterisk is the template of "*", the target of OPTIONS for a whole server.
	Asterisk = "*"
)

// Defaults and fixed limits.
const (
	defaultMaxChildren = 100
	defaultMaxDepth    = 12
	defaultMaxRoutes   = 2000
	defaultCacheSize   = 8192

	// maxTemplate bounds a template, in bytes: a metric tag should not be longer.
	maxTemplate = 256
	// maxCachedPath bounds the paths that are cached, in bytes, and so the
	// memory of the cache; longer ones are worked out each time.
	maxCachedPath = 256
)

// Options of Services. The zero value is valid; a zero field means its default.
type Options struct {
	// Patterns are tried in order, first match wins: "/users/{id}/orders/{order}",
	// "/static/*". {name} matches one segment that is not empty; a last segment
	// of *, ** or {name...} matches the rest, which may be empty; everything
	// else must be equal. The template is the pattern itself.
	Patterns []string
	// MaxChildren is the number of different words that may follow one node of
	// the tree (default 100); later ones become "*".
	MaxChildren int
	// MaxDepth is the number of segments in a template (default 12); the rest
	// of a longer path becomes one "*".
	MaxDepth int
	// MaxRoutes is the number of different templates, patterns included
	// (default 2000); later ones become Other.
	MaxRoutes int
	// CacheSize is the number of paths whose template is remembered (default
	// 8192), once they have come a second time. At the limit all are forgotten.
	CacheSize int
}

func (o Options) withDefaults() Options {
	for _, f := range []struct {
		value *int
		def   int
	}{
		{&o.MaxChildren, defaultMaxChildren},
		{&o.MaxDepth, defaultMaxDepth},
		{&o.MaxRoutes, defaultMaxRoutes},
		{&o.CacheSize, defaultCacheSize},
	} {
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	return o
}

// Validate reports the first option that cannot be used.
func (o Options) Validate() error {
	for _, f := range []struct {
		name  string
		value int
	}{{"max children", o.MaxChildren}, {"max depth", o.MaxDepth}, {"max routes", o.MaxRoutes}, {"cache size", o.CacheSize}} {
		if f.value < 0 {
			return fmt.Errorf("route options: %s is negative: %d", f.name, f.value)
		}
	}
	if limit := o.withDefaults().MaxRoutes; len(o.Patterns) > limit {
		return fmt.Errorf("route options: %d patterns, but max routes is %d", len(o.Patterns), limit)
	}
	for _, p := range o.Patterns {
		if _, err := parsePattern(p); err != nil {
			return err
		}
	}
	return nil
}

// Stats counts what Services did.
type Stats struct {
	// Routes is the number of different templates, patterns included.
	Routes int
	// Capped counts the paths in which MaxChildren turned a word into "*", and
	// Overflow those that became Other because of MaxRoutes. Both count a path
	// when it is worked out, not again while it is cached.
	Capped, Overflow uint64
	// CacheResets counts how often the cache was full and emptied.
	CacheResets uint64
	// Evicted counts the services that were forgotten to make room for others,
	// not those that were idle.
	Evicted uint64
}

// table maps the targets of one service to templates.
type table struct {
	all     *Services
	service string
	usedAt  uint64 // Services.uses at the last turn to it
	usedNS  uint64 // ... and the time, or a little earlier
	cache   map[string]string
	routes  map[string]string // every template, by itself
	root    node
}

func newTable(all *Services, service string) *table {
	t := &table{
		all: all, service: service,
		cache:  make(map[string]string),
		routes: make(map[string]string),
	}
	for i := range all.patterns {
		text := all.patterns[i].text
		t.routes[text] = text
	}
	return t
}

// template is Services.Template of the table's service.
func (t *table) template(target []byte) string {
	path, fixed := t.pathOf(target)
	if fixed != "" {
		return fixed
	}
	if s, ok := t.cache[string(path)]; ok {
		return s
	}
	s := t.derive(path)
	if len(path) <= maxCachedPath && t.all.cameBefore(path) {
		t.all.makeCacheRoom()
		t.cache[string(path)] = s
		t.all.cached++
	}
	return s
}

// pathOf returns the path of a target, which starts with a slash, or the
// template of a target that has none.
func (t *table) pathOf(target []byte) (path []byte, fixed string) {
	if len(target) == 0 {
		return nil, Unknown
	}
	if target[0] == '/' {
		return cutQuery(target), ""
	}
	if string(target) == "*" {
		return nil, Asterisk
	}
	i := bytes.Index(target, []byte("://"))
	if i < 0 {
		return nil, Authority
	}
	rest := cutQuery(target[i+len("://"):])
	if i = bytes.IndexByte(rest, '/'); i < 0 {
		return t.all.rootPath, ""
	}
	return rest[i:], ""
}

// cutQuery removes a query and a fragment.
func cutQuery(b []byte) []byte {
	if i := bytes.IndexByte(b, '?'); i >= 0 {
		b = b[:i]
	}
	if i := bytes.IndexByte(b, '#'); i >= 0 {
		b = b[:i]
	}
	return b
}

// derive works the template of a path out.
func (t *table) derive(path []byte) string {
	patterns := t.all.patterns
	for i := range patterns {
		if patterns[i].match(path) {
			return patterns[i].text
		}
	}
	capped := t.render(path)
	if capped {
		t.all.stats.Capped++
	}
	if s, ok := t.routes[string(t.all.buf)]; ok {
		return s
	}
	if len(t.routes) >= t.all.opts.MaxRoutes {
		t.all.stats.Overflow++
		return Other
	}
	t.all.makeRoom(t)
	t.all.routes++
	s := string(t.all.buf)
	t.routes[s] = s
	t.root.insert(s)
	return s
}

// render writes the template of a path into Services.buf. It reports whether a full
// node turned a word into "*".
func (t *table) render(path []byte) (capped bool) {
	const rest = "/*"
	buf := t.all.buf[:0]
	at := &t.root
	dropSlash := false
	var before []byte
	seg, tail, more := cutSegment(path[1:])
	for depth := 0; ; depth++ {
		if !more && len(seg) == 0 && dropSlash {
			break
		}
		start := len(buf)
		if depth == t.all.opts.MaxDepth {
			buf = append(buf, rest...)
			break
		}
		buf = append(buf, '/')
		whole, next := false, at.child(seg)
		if next != nil && next.word {
			buf = append(buf, seg...)
		} else {
			buf, whole = appendSegment(buf, seg, more && isVersionHolder(before))
			next = at.child(buf[start+1:])
		}
		if len(buf) > maxTemplate-len(rest) {
			buf = append(buf[:start], rest...)
			break
		}
		if next == nil && !whole && at.words() >= t.all.opts.MaxChildren {
			capped, whole = true, true
			buf = append(buf[:start], rest...)
			next = at.child(buf[start+1:])
		}
		at, dropSlash = next, whole
		if !more {
			break
		}
		before = seg
		seg, tail, more = cutSegment(tail)
	}
	t.all.buf = buf
	return capped
}

// cutSegment splits b at its first slash.
func cutSegment(b []byte) (seg, rest []byte, more bool) {
	if i := bytes.IndexByte(b, '/'); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}

// SPDX-License-Identifier: Apache-2.0

package route

import (
	"hash/maphash"
	"strings"
	"time"
)

// Limits of Services.
const (
	// maxServices bounds the services that have a table (about 1 KB each, and
	// their routes); the one unused for longest makes room.
	maxServices = 1024
	// routesFactor times MaxRoutes is how many templates all services have
	// together.
	routesFactor = 2
	// onceSlots is how many paths are remembered that came once: a path is
	// cached when it comes again, because many never do.
	onceSlots = 8192
	// idleService is how long a service is remembered that is not asked for.
	idleService = 5 * time.Minute
)

// Services maps targets to templates, with a table for each service: what one is
// asked for takes no template and no word from another. Together they have at
// most twice MaxRoutes templates and CacheSize cached paths; where these are too
// few, the service unused for longest is forgotten and begins anew, and so does
// one that is not asked for in five minutes (Forget). It is not
// safe for concurrent use: the one goroutine that handles requests owns it.
type Services struct {
	opts     Options
	patterns []pattern
	tables   map[string]*table
	last     *table
	uses     uint64
	nowNS    uint64 // of the last Forget
	rootPath []byte
	buf      []byte // for the template that is worked out
	stats    Stats
	// routes and cached are of all tables, routes without patterns.
	routes, cached int
	// once holds, by their hash, paths that were asked for and are not cached.
	once     [onceSlots]uint32
	onceSeed maphash.Seed
	// maxServices and maxRoutes are the limits, for all services.
	maxServices, maxRoutes int
}

// NewServices returns one without any service. It fails on the first bad option
// or pattern.
func NewServices(opts Options) (*Services, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	s := &Services{opts: opts.withDefaults(), tables: make(map[string]*table), maxServices: maxServices}
	s.onceSeed = maphash.MakeSeed()
	s.rootPath, s.buf = []byte("/"), make([]byte, 0, 2*maxTemplate)
	s.maxRoutes = routesFactor * s.opts.MaxRoutes
	for _, text := range opts.Patterns {
		p, err := parsePattern(text)
		if err != nil {
			return nil, err
		}
		s.patterns = append(s.patterns, p)
	}
	return s, nil
}

// Template returns the route template of a request target of a service: visible
// ASCII, at most 256 bytes, without a query. Percent-encoding is left as it is. A
// slash at the end counts after a word (/users and /users/ differ), not after a
// placeholder. It does not allocate for a path that is cached.
func (s *Services) Template(service string, target []byte) string {
	if s.last == nil || s.last.service != service {
		s.last = s.of(service)
	}
	return s.last.template(target)
}

// of returns the table of a service, which is made at its first use.
func (s *Services) of(service string) *table {
	s.uses++
	t := s.tables[service]
	if t == nil {
		if len(s.tables) >= s.maxServices {
			s.evict(nil)
		}
		t = newTable(s, strings.Clone(service))
		s.tables[t.service] = t
	}
	t.usedAt, t.usedNS = s.uses, s.nowNS
	return t
}

// Forget forgets the services that nobody has asked for in the last five minutes,
// or a little more. nowNS is the present time on any monotonic clock.
func (s *Services) Forget(nowNS uint64) {
	if s.last != nil {
		s.last.usedNS = s.nowNS // its uses in a row were not noted
	}
	for _, t := range s.tables {
		if t.usedNS < s.nowNS && nowNS-t.usedNS > uint64(idleService) {
			s.drop(t)
		}
	}
	s.nowNS, s.last = nowNS, nil
}

// makeRoom forgets other services until one more template of this one fits.
func (s *Services) makeRoom(t *table) {
	for s.routes >= s.maxRoutes && len(s.tables) > 1 {
		s.evict(t)
	}
}

// evict forgets the service unused for longest, but not this one.
func (s *Services) evict(but *table) {
	var oldest *table
	for _, t := range s.tables {
		if t != but && (oldest == nil || t.usedAt < oldest.usedAt) {
			oldest = t
		}
	}
	if oldest == nil {
		return
	}
	s.stats.Evicted++
	s.drop(oldest)
}

func (s *Services) drop(t *table) {
	s.routes -= len(t.routes) - len(s.patterns)
	s.cached -= len(t.cache)
	delete(s.tables, t.service)
}

// cameBefore reports whether a path was asked for not long ago, and notes it.
func (s *Services) cameBefore(path []byte) bool {
	hash := maphash.Bytes(s.onceSeed, path)
	at := &s.once[hash%onceSlots]
	if *at == uint32(hash>>32) {
		return true
	}
	*at = uint32(hash >> 32)
	return false
}

// makeCacheRoom empties all caches when they are full.
func (s *Services) makeCacheRoom() {
	if s.cached < s.opts.CacheSize {
		return
	}
	for _, t := range s.tables {
		clear(t.cache)
	}
	s.cached = 0
	s.stats.CacheResets++
}

// Continue lets s count on from before, whose place it takes: counters never go back.
func (s *Services) Continue(before *Services) { s.stats = before.stats }

// Stats returns the counters of all services, those forgotten included.
func (s *Services) Stats() Stats {
	all := s.stats
	all.Routes = s.routes + len(s.patterns)
	return all
}

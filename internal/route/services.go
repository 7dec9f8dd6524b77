// SPDX-License-Identifier: Apache-2.0

package route

import "strings"

// Limits of Services.
const (
	// maxServices bounds the services that have a table (about 1 KB each, and
	// their routes); the one unused for longest makes room.
	maxServices = 1024
	// routesFactor times MaxRoutes is how many templates all services have
	// together.
	routesFactor = 2
)

// Services keeps the table of each service apart: what one is asked for takes
// no template and no word from another. Together they have at most twice
// MaxRoutes templates and CacheSize cached paths; where these are too few, the
// service unused for longest is forgotten and begins anew. Not safe for
// concurrent use.
type Services struct {
	opts   Options
	shared *shared
	tables map[string]*Table
	last   *Table
	uses   uint64
	// maxServices and maxRoutes are the limits, for all services.
	maxServices, maxRoutes int
}

// shared is what the tables of all services have in common.
type shared struct {
	patterns []pattern
	stats    Stats
	routes   int // without patterns
	cached   int
	// makeRoom is called by a table that wants one more template, forget when
	// the caches are full.
	makeRoom func(*Table)
	forget   func()
}

// NewServices returns one without any service. It fails on the first bad option
// or pattern.
func NewServices(opts Options) (*Services, error) {
	s := &Services{opts: opts.withDefaults(), tables: make(map[string]*Table), maxServices: maxServices}
	s.maxRoutes = routesFactor * s.opts.MaxRoutes
	var err error
	if s.shared, err = newShared(opts); err != nil {
		return nil, err
	}
	s.shared.makeRoom, s.shared.forget = s.makeRoom, s.forget
	return s, nil
}

// Template is Table.Template of a service.
func (s *Services) Template(service string, target []byte) string {
	if s.last == nil || s.last.service != service {
		s.last = s.table(service)
	}
	return s.last.Template(target)
}

func (s *Services) table(service string) *Table {
	s.uses++
	t := s.tables[service]
	if t == nil {
		if len(s.tables) >= s.maxServices {
			s.evict(nil)
		}
		t = newTable(s.opts, s.shared)
		t.service = strings.Clone(service)
		s.tables[t.service] = t
	}
	t.usedAt = s.uses
	return t
}

// makeRoom forgets other services until one more template fits.
func (s *Services) makeRoom(t *Table) {
	for s.shared.routes >= s.maxRoutes && len(s.tables) > 1 {
		s.evict(t)
	}
}

// evict forgets the service unused for longest, but not this one.
func (s *Services) evict(but *Table) {
	var oldest *Table
	for _, t := range s.tables {
		if t != but && (oldest == nil || t.usedAt < oldest.usedAt) {
			oldest = t
		}
	}
	if oldest == nil {
		return
	}
	s.shared.routes -= len(oldest.routes) - len(s.shared.patterns)
	s.shared.cached -= len(oldest.cache)
	s.shared.stats.Evicted++
	delete(s.tables, oldest.service)
}

func (s *Services) forget() {
	for _, t := range s.tables {
		clear(t.cache)
	}
}

// Stats returns the counters of all services, those forgotten included.
func (s *Services) Stats() Stats {
	all := s.shared.stats
	all.Routes = s.shared.routes + len(s.shared.patterns)
	return all
}

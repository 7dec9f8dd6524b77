// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"probe/pkg/stats"
)

const (
	// defaultMaxCached is room for a full Recorder and its predecessors that
	// are not yet forgotten.
	defaultMaxCached = 2 * stats.DefaultMaxSeries
	// keepIntervals is how many EndInterval calls cached parts survive unused,
	// as long as their series does.
	keepIntervals = stats.DefaultIdleIntervals
)

// EncoderOptions of an Encoder. The zero value is usable.
type EncoderOptions struct {
	// Prefix of every name, dots allowed; made safe and cut to 64 characters.
	// Empty: DefaultPrefix.
	Prefix string
	// Host is the value of the host tag or segment. Empty: "unknown".
	Host string
	// Dialect of the lines. Empty: Plain.
	Dialect Dialect
	// Fields are what each line says about its series. Nil: DefaultFields.
	Fields []Field
	// Template of names in the plain dialect, for example DefaultTemplate. A
	// template leaves no say to Fields. Empty: DefaultTemplate.
	Template string
	// Tags are constant, on every line. SelfTags are on the lines of self
	// counters besides, in dialects with tags; Tags of the same key win.
	Tags, SelfTags []Tag
	// MaxLine is the most bytes of a line with several values (DogStatsD11
	// only), '\n' included. 0: DefaultMaxPayload.
	MaxLine int
	// MaxCached bounds the series whose fixed parts are kept (about 0.5 KB
	// each); others are rendered again each time. 0: 20000.
	MaxCached int
}

// Encoder renders lines. Its Append functions append whole lines, each with
// '\n' at its end, and allocate nothing once a series is known. An Encoder is
// not safe for concurrent use.
type Encoder struct {
	opt      EncoderOptions
	renderer renderer
	packed   bool
	// perService: lines say which service they are about.
	perService bool
	cache      map[cacheKey]*cachedParts
	interval   uint64
	// scratch holds the parts of a series that found no room in the cache,
	// suffix the part of a timing's line behind its value.
	scratch cachedParts
	suffix  []byte
	// merged and gauges are the scratch of MergeInFlight.
	merged map[parts]int
	gauges []stats.InFlight
}

type cacheKey struct {
	stats.Key
	level level
}

type cachedParts struct {
	parts
	lastUsed uint64
}

// NewEncoder returns an Encoder, or an error that names what is wrong with the
// dialect, the template or a tag, and what is valid.
func NewEncoder(opt EncoderOptions) (*Encoder, error) {
	dialect, err := ParseDialect(string(opt.Dialect))
	if err != nil {
		return nil, err
	}
	if opt.Prefix == "" {
		opt.Prefix = DefaultPrefix
	}
	opt.Prefix = dotted(opt.Prefix, maxPrefixLength)
	if opt.MaxCached <= 0 {
		opt.MaxCached = defaultMaxCached
	}
	if opt.MaxLine <= 0 {
		opt.MaxLine = DefaultMaxPayload
	}
	e := &Encoder{
		opt: opt, packed: dialect == DogStatsD11,
		cache: make(map[cacheKey]*cachedParts), merged: make(map[parts]int),
	}
	if e.renderer, err = opt.newRenderer(dialect); err != nil {
		return nil, err
	}
	e.perService = e.renderer.names(FieldService)
	return e, nil
}

func (opt EncoderOptions) newRenderer(dialect Dialect) (renderer, error) {
	fields := opt.Fields
	if fields == nil {
		fields = DefaultFields()
	}
	if dialect != Plain {
		if opt.Template != "" {
			return nil, fmt.Errorf("a name template is for the dialect %s, not %s", Plain, dialect)
		}
		self := slices.DeleteFunc(slices.Clone(opt.SelfTags), func(tag Tag) bool {
			return slices.ContainsFunc(opt.Tags, func(t Tag) bool { return t.Key == tag.Key })
		})
		if err := checkTags(self, nil); err != nil {
			return nil, err
		}
		return tagged{syntaxOf(dialect), fields, opt.Tags, self}, checkTags(opt.Tags, fields)
	}
	// A key of a field that is not selected would still be that variable.
	if err := checkTags(opt.Tags, append(DefaultFields(), fields...)); err != nil {
		return nil, err
	}
	text := opt.Template
	if text == "" {
		text = defaultTemplate(fields, opt.Tags)
	} else if opt.Fields != nil {
		return nil, errors.New("a name template and a selection of tags exclude each other; leave one out")
	}
	t, err := parseTemplate(text, opt.Tags)
	if err != nil {
		return nil, err
	}
	return plain{t}, nil
}

// AppendSeries appends all lines of a series.
func (e *Encoder) AppendSeries(dst []byte, s *stats.Series) []byte {
	return e.AppendTimings(e.AppendCounts(dst, s), s)
}

// AppendCounts appends the counters of a series; those that are 0 are left out.
func (e *Encoder) AppendCounts(dst []byte, s *stats.Series) []byte {
	p := e.partsOf(cacheKey{Key: s.Key})
	dst = appendCount(dst, p, nameRequests, s.Requests)
	dst = appendCount(dst, p, nameErrors, s.Errors)
	dst = appendCount(dst, p, nameRequestBytes, s.RequestBytes)
	return appendCount(dst, p, nameResponseBytes, s.ResponseBytes)
}

// AppendTimings appends the sampled timings of a series, with their rate.
func (e *Encoder) AppendTimings(dst []byte, s *stats.Series) []byte {
	p := e.partsOf(cacheKey{Key: s.Key})
	e.suffix = append(append(e.suffix[:0], '|'), Timer...)
	if s.Samples.Every > 1 {
		e.suffix = append(e.suffix, "|@"...)
		e.suffix = strconv.AppendFloat(e.suffix, 1/float64(s.Samples.Every), 'f', -1, 64)
	}
	e.suffix = append(append(e.suffix, p.tail...), '\n')
	dst = e.appendTimings(dst, p, nameDuration, s.Samples.Duration)
	dst = e.appendTimings(dst, p, nameTTFB, s.Samples.TTFB)
	dst = e.appendTimings(dst, p, nameWaitAccept, s.Samples.WaitAccept)
	dst = e.appendTimings(dst, p, nameWaitSocket, s.Samples.WaitSocket)
	for i, values := range s.Samples.Parts {
		dst = e.appendTimings(dst, p, partMetrics[i].name, values)
	}
	return dst
}

func (e *Encoder) appendTimings(dst []byte, p *cachedParts, name string, values []time.Duration) []byte {
	if len(values) == 0 {
		return dst
	}
	first := len(dst)
	dst = appendName(dst, p, name)
	fixed := len(dst) - first
	line := first // where the current one begins
	for i, v := range values {
		switch {
		case i == 0:
		case e.packed && len(dst)-line+len(":")+maxMillis+len(e.suffix) <= e.opt.MaxLine:
			dst = append(dst, ':')
		default:
			dst = append(dst, e.suffix...)
			line = len(dst)
			dst = append(dst, dst[first:first+fixed]...)
		}
		dst = appendMillis(dst, v)
	}
	return append(dst, e.suffix...)
}

// MergeInFlight adds up the gauges whose lines would have the same name and
// tags, of which a receiver would keep the last. The result is valid until the
// next call.
func (e *Encoder) MergeInFlight(gauges []stats.InFlight) []stats.InFlight {
	clear(e.merged)
	kept := e.gauges[:0]
	for _, g := range gauges {
		key := e.partsOf(inFlightKey(&g)).parts
		if i, again := e.merged[key]; again {
			kept[i].N += g.N
			continue
		}
		e.merged[key] = len(kept)
		kept = append(kept, g)
	}
	e.gauges = kept
	return kept
}

func inFlightKey(g *stats.InFlight) cacheKey {
	return cacheKey{Key: stats.Key{Service: g.Service, Role: g.Role}, level: levelService}
}

// AppendInFlight appends the gauge of a service. A negative value needs two
// lines (see appendGauge), which belong into one packet: Packer.AddTogether.
func (e *Encoder) AppendInFlight(dst []byte, g *stats.InFlight) []byte {
	return appendGauge(dst, e.partsOf(inFlightKey(g)), nameInFlight, int64(g.N))
}

// AppendSelf appends a self counter unless its delta is 0.
func (e *Encoder) AppendSelf(dst []byte, v *stats.SelfValue) []byte {
	key := cacheKey{Key: stats.Key{Service: v.Name}, level: levelSelf}
	return appendCount(dst, e.partsOf(key), "", v.Delta)
}

// EndInterval forgets the fixed parts of series not seen for ten intervals.
// Call it after each Snapshot.
func (e *Encoder) EndInterval() {
	e.interval++
	for k, p := range e.cache {
		if e.interval-p.lastUsed > keepIntervals {
			delete(e.cache, k)
		}
	}
}

func (e *Encoder) partsOf(key cacheKey) *cachedParts {
	if p := e.cache[key]; p != nil {
		p.lastUsed = e.interval
		return p
	}
	p := &e.scratch
	if len(e.cache) < e.opt.MaxCached {
		p = new(cachedParts)
		e.cache[key] = p
	}
	p.parts, p.lastUsed = e.render(key), e.interval
	return p
}

func (e *Encoder) render(key cacheKey) parts {
	id := identity{
		prefix: e.opt.Prefix, scope: scopeHTTP + key.Role.String(), host: e.opt.Host, level: key.level,
		service: key.Service, route: key.Route, method: key.Method,
		status: strconv.Itoa(int(key.Status)), origin: key.Origin,
	}
	if key.level != levelSelf {
		return e.renderer.render(&id)
	}
	id.scope = scopeSelf
	p := e.renderer.render(&id)
	// The metric's name is part of the key: let head hold it all.
	room := maxNameLength - len(p.head)
	if _, isPlain := e.renderer.(plain); isPlain {
		room -= len(p.mid)
	}
	p.head += dotted(key.Service, max(room, minSegmentLength))
	return p
}

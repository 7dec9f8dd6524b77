// SPDX-License-Identifier: Apache-2.0

package export

// plain writes prefix.host.service.scope.route.METHOD.status.metric, and for
// figures of a whole service prefix.host.service.scope.metric, of the host
// prefix.host.scope.metric. Self counters are prefix.self.metric: they are sums
// over all hosts.
type plain struct{}

func (plain) render(id identity) parts {
	if id.level == levelSelf {
		return parts{head: id.prefix + "." + id.scope + "."}
	}
	host, service := segment(id.host), segment(id.service)
	if id.level == levelHost {
		fit(maxNameLength-len(id.prefix)-len(id.scope)-longestName-len("..."), piece{&host, id.host})
		return parts{head: id.prefix + "." + host + "." + id.scope + "."}
	}
	if id.level == levelService {
		used := len(id.prefix) + len(id.scope) + longestName + len("....")
		fit(maxNameLength-used, piece{&host, id.host}, piece{&service, id.service})
		return parts{head: id.prefix + "." + host + "." + service + "." + id.scope + "."}
	}
	route := routeSegment(id.route)
	method := cut(segment(id.method), minSegmentLength, id.method)
	status := segment(id.status)
	used := len(id.prefix) + len(id.scope) + len(method) + len(status) + longestName + len(".......")
	fit(maxNameLength-used,
		piece{&host, id.host}, piece{&service, id.service}, piece{&route, id.route})
	return parts{head: id.prefix + "." + host + "." + service + "." + id.scope + "." +
		route + "." + method + "." + status + "."}
}

// piece is a segment and what it was made from.
type piece struct {
	segment  *string
	original string
}

// fit cuts the longest pieces until all together have at most limit
// characters. It stops at minSegmentLength each.
func fit(limit int, pieces ...piece) {
	for {
		total, longest := 0, pieces[0]
		for _, p := range pieces {
			total += len(*p.segment)
			if len(*p.segment) > len(*longest.segment) {
				longest = p
			}
		}
		length := len(*longest.segment)
		if total <= limit || length <= minSegmentLength {
			return
		}
		// Not below the second longest at once would keep more of it, but one
		// long segment is the rule.
		*longest.segment = cut(*longest.segment, max(length-(total-limit), minSegmentLength), longest.original)
	}
}

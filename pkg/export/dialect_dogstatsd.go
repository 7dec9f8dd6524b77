// SPDX-License-Identifier: Apache-2.0

package export

import "strings"

// dogstatsd writes prefix.scope.metric:value|type|#host:…,service:…,method:…,
// route:…,status:… (DogStatsD protocol v1.0: no packed values, no container
// id, no timestamp, which other receivers refuse).
type dogstatsd struct{}

func (dogstatsd) render(id identity) parts {
	var tail strings.Builder
	tag := func(separator, key, value string) {
		tail.WriteString(separator)
		tail.WriteString(key)
		tail.WriteByte(':')
		tail.WriteString(tagValue(key, value))
	}
	tag("|#", "host", id.host)
	if id.level == levelService || id.level == levelRoute {
		tag(",", "service", id.service)
	}
	if id.level == levelRoute {
		tag(",", "method", id.method)
		tag(",", "route", id.route)
		tag(",", "status", id.status)
	}
	return parts{head: id.prefix + "." + id.scope + ".", tail: tail.String()}
}

// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"bytes"

	"probe/pkg/events"
)

// target is what may be shown of a target: not the query, unless asked for, and
// never the name and password of the absolute form (http://user:password@host/).
func (p *Printer) target(q *events.Request) []byte {
	target := q.Target
	if !p.opt.Query {
		target, _, _ = bytes.Cut(target, []byte("?"))
	}
	from, to := userinfo(target, q.Flags&events.FlagTargetCut != 0)
	if from == to {
		return target
	}
	p.shown = append(append(p.shown[:0], target[:from]...), target[to:]...)
	return p.shown
}

// userinfo returns where in a target user and password are. In one that was cut
// off before the end of the authority, all of it may be.
func userinfo(target []byte, cut bool) (from, to int) {
	const mark = "://"
	if len(target) == 0 || target[0] == '/' {
		return 0, 0
	}
	from = bytes.Index(target, []byte(mark))
	if from < 0 {
		return 0, 0
	}
	from += len(mark)
	authority := target[from:]
	end := bytes.IndexAny(authority, "/?#")
	if end >= 0 {
		authority = authority[:end]
	}
	if end < 0 && cut {
		return from, len(target)
	}
	return from, from + bytes.LastIndexByte(authority, '@') + 1
}

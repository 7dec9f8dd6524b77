// SPDX-License-Identifier: Apache-2.0

package accesslog

import (
	"strconv"
	"time"
	"unicode/utf8"

	"probe/pkg/events"
)

// appendJSON writes the object by hand: under load there are 100,000 of them a
// second and each allocation is the observed host's CPU.
func (p *Printer) appendJSON(b []byte, q *events.Request) []byte {
	b = append(b, `{"time":"`...)
	b = p.wall(q).UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","role":"`...)
	b = append(b, q.Role.String()...)
	b = appendNumber(b, `","pid":`, uint64(q.PID))
	b = appendNumber(b, `,"tid":`, uint64(q.TID))
	b = appendString(append(b, `,"comm":`...), []byte(q.Conn.Comm))
	b = appendString(append(b, `,"service":`...), []byte(q.Service))
	b = append(b, `,"container":"","local":"`...)
	b = appendEndpoint(b, q.Conn, q.Conn.Local)
	b = append(b, `","remote":"`...)
	b = appendEndpoint(b, q.Conn, q.Conn.Remote)
	b = appendString(append(b, `","method":`...), q.Method)
	b = appendString(append(b, `,"target":`...), p.target(q))
	b = appendString(append(b, `,"route":`...), []byte(q.Route))
	b = append(b, `,"proto":"HTTP/1.`...)
	b = append(b, '0'+q.ProtoMinor%10)
	b = appendNumber(b, `","status":`, uint64(q.Status))
	b = append(b, `,"outcome":"`...)
	b = append(b, q.Outcome.String()...)
	b = appendNumber(b, `","duration_ns":`, uint64(q.Duration))
	b = appendNumber(b, `,"ttfb_ns":`, uint64(q.TTFB))
	b = appendNumber(b, `,"request_bytes":`, q.RequestBytes)
	b = appendNumber(b, `,"response_bytes":`, q.ResponseBytes)
	b = append(b, `,"wait":{`...)
	if q.Wait.Known {
		b = appendNumber(b, `"accept_ns":`, uint64(q.Wait.Accept))
		b = appendNumber(b, `,"socket_ns":`, uint64(q.Wait.Socket))
	}
	if q.Times.Attribution != events.AttributionNone {
		b = appendParts(b, &q.Times, q.Wait.Known)
	}
	b = append(b, '}')
	if q.Times.Attribution != events.AttributionNone {
		b = appendAttribution(b, &q.Times)
	}
	if p.opt.Slow > 0 {
		p.sentence = p.appendBlame(p.sentence[:0], q)
		b = appendString(append(b, `,"blame":`...), p.sentence)
	}
	b = appendFlags(b, q.Flags)
	return append(b, "}\n"...)
}

var flagNames = [...]string{"no_request", "target_cut", "bytes_uncertain", "time_uncertain"}

// appendFlags adds "flags" only where there is something to say.
func appendFlags(b []byte, f events.Flags) []byte {
	if f == 0 {
		return b
	}
	b = append(b, `,"flags":[`...)
	first := true
	for i, name := range flagNames {
		if f&(1<<i) == 0 {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, '"')
		b = append(b, name...)
		b = append(b, '"')
	}
	return append(b, ']')
}

func appendNumber(b []byte, key string, v uint64) []byte {
	return strconv.AppendUint(append(b, key...), v, 10)
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string; bytes that are not UTF-8 become U+FFFD.
func appendString(b, s []byte) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
			i++
		case c < 0x20 || c == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			i++
		case c < utf8.RuneSelf:
			b = append(b, c)
			i++
		default:
			r, n := utf8.DecodeRune(s[i:])
			b = utf8.AppendRune(b, r)
			i += n
		}
	}
	return append(b, '"')
}

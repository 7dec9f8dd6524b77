// SPDX-License-Identifier: Apache-2.0

package export

import (
	"strconv"
	"time"
)

func appendName(dst []byte, p *cachedParts, name string) []byte {
	dst = append(dst, p.head...)
	dst = append(dst, name...)
	dst = append(dst, p.mid...)
	return append(dst, ':')
}

func appendCount(dst []byte, p *cachedParts, name string, n uint64) []byte {
	if n == 0 {
		return dst
	}
	dst = appendName(dst, p, name)
	dst = strconv.AppendUint(dst, n, 10)
	return appendEnd(dst, Counter, p)
}

// appendGauge appends an absolute gauge. A sign makes a gauge relative, so a
// negative value is set by going to 0 first.
func appendGauge(dst []byte, p *cachedParts, name string, v int64) []byte {
	if v < 0 {
		dst = appendEnd(append(appendName(dst, p, name), '0'), Gauge, p)
	}
	dst = strconv.AppendInt(appendName(dst, p, name), v, 10)
	return appendEnd(dst, Gauge, p)
}

func appendEnd(dst []byte, t Type, p *cachedParts) []byte {
	dst = append(append(dst, '|'), t...)
	return append(append(dst, p.tail...), '\n')
}

// maxMillis is the most characters of appendMillis.
const maxMillis = len("9223372036854.775807")

// appendMillis appends d in milliseconds, exactly, with at most six decimals
// and no exponent, which some receivers do not read. Negative is 0.
func appendMillis(dst []byte, d time.Duration) []byte {
	const nsPerMs = uint64(time.Millisecond)
	ns := uint64(max(d, 0))
	dst = strconv.AppendUint(dst, ns/nsPerMs, 10)
	rest := ns % nsPerMs
	if rest == 0 {
		return dst
	}
	dst = append(dst, '.')
	for unit := nsPerMs / 10; rest > 0; unit /= 10 {
		dst = append(dst, byte('0'+rest/unit))
		rest %= unit
	}
	return dst
}

// SPDX-License-Identifier: Apache-2.0

package http1

import "bytes"

// PROXY protocol, versions 1 and 2: haproxy.org, proxy-protocol.txt.
const (
	proxyV1MaxLine = 107
	proxyV2Sign    = "\r\n\r\n\x00\r\nQUIT\n"
	proxyV2Fixed   = 16 // signature, version and command, family, 2 bytes of length
)

// skipPreamble returns the length of what may stand before a request line: a
// PROXY header, then empty lines. VerdictPartial means that b ends inside it.
func skipPreamble(b []byte) (int, Verdict) {
	// The usual first byte settles it: a letter other than P, or P as in POST.
	if len(b) > 1 && b[0] > '\r' && (b[0] != 'P' || b[1] != 'R') {
		return 0, VerdictOK
	}
	i, v := proxyHeader(b)
	if v != VerdictOK {
		return 0, v
	}
	for lines := 0; i < len(b); lines++ {
		if b[i] != '\r' && b[i] != '\n' {
			return i, VerdictOK
		}
		if lines == maxLeadingLines {
			return 0, VerdictInvalid
		}
		next, v := lineEnd(b, i)
		if v == VerdictPartial {
			return i, v
		}
		if v == VerdictInvalid {
			return 0, v
		}
		i = next
	}
	return i, VerdictPartial
}

// proxyHeader returns the length of the PROXY header at the start of b; 0 if
// there is none.
func proxyHeader(b []byte) (int, Verdict) {
	if len(b) == 0 {
		return 0, VerdictPartial
	}
	if b[0] == '\r' {
		return proxyV2(b)
	}
	for _, start := range [...]string{"PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN"} {
		n := min(len(b), len(start))
		if string(b[:n]) != start[:n] {
			continue
		}
		if n < len(start) {
			// Also the start of a request with a method like PROPFIND, which is
			// as incomplete.
			return 0, VerdictPartial
		}
		return proxyV1(b)
	}
	return 0, VerdictOK
}

// proxyV1 returns the length of a line that is known to start like a PROXY line.
func proxyV1(b []byte) (int, Verdict) {
	line := b[:min(len(b), proxyV1MaxLine)]
	end := bytes.IndexByte(line, '\n')
	body := line
	switch {
	case end >= 0 && line[end-1] != '\r':
		return 0, VerdictInvalid
	case end >= 0:
		body = line[:end-1]
	case len(line) == proxyV1MaxLine:
		return 0, VerdictInvalid
	case line[len(line)-1] == '\r':
		body = line[:len(line)-1]
	}
	for _, c := range body {
		if c < ' ' || c > '~' {
			return 0, VerdictInvalid
		}
	}
	if end < 0 {
		return 0, VerdictPartial
	}
	return end + 1, VerdictOK
}

// proxyV2 returns the length of a binary PROXY header; 0 if b has none. Its
// signature starts like empty lines, so a short b is both.
func proxyV2(b []byte) (int, Verdict) {
	n := min(len(b), len(proxyV2Sign))
	if string(b[:n]) != proxyV2Sign[:n] {
		return 0, VerdictOK
	}
	if n < len(proxyV2Sign) {
		return 0, VerdictPartial
	}
	if len(b) > n && b[n]>>4 != 2 {
		return 0, VerdictInvalid
	}
	if len(b) < proxyV2Fixed {
		return 0, VerdictPartial
	}
	total := proxyV2Fixed + int(b[14])<<8 + int(b[15])
	if len(b) < total {
		return 0, VerdictPartial
	}
	return total, VerdictOK
}

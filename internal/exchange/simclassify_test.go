// SPDX-License-Identifier: Apache-2.0

package exchange_test

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// The classifiers of bpf/classify.h.

func isTokenChar(b byte) bool {
	return b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b == '-' || b == '_'
}

// looksLikeMethod leans to yes, as the kernel does.
func looksLikeMethod(h []byte) bool {
	word := 0
	for i := range simPeek {
		if i >= len(h) {
			return word > 0
		}
		b := h[i]
		switch {
		case isTokenChar(b):
			word++
			continue
		case word == 0 && (b == '\r' || b == '\n') && i < 4:
			continue
		case b != ' ' || word == 0:
			return false
		}
		if i+1 >= len(h) || i+1 >= simPeek {
			return true
		}
		b = h[i+1]
		return b == '/' || b == '*' || b == '[' || isTokenChar(b) || b >= '0' && b <= '9'
	}
	return true
}

func looksLikeRequest(h []byte) bool {
	if len(h) >= 8 && (bytes.HasPrefix(h, []byte("GET ")) || bytes.HasPrefix(h, []byte("POST")) || bytes.HasPrefix(h, []byte("HEAD"))) {
		return true
	}
	if len(h) == 0 || bytes.HasPrefix(h, []byte("HTTP")) {
		return false
	}
	return looksLikeMethod(h) || bytes.HasPrefix(h, []byte("\r\n\r\n\x00\r\nQUIT\n"))
}

// isSurelyRequest is stricter, for a piece that may be of a body.
func isSurelyRequest(h []byte) bool {
	for i := range simPeek - 1 {
		if i+1 >= len(h) {
			return false
		}
		if h[i] >= 'A' && h[i] <= 'Z' {
			continue
		}
		return i >= 3 && h[i] == ' ' && (h[i+1] == '/' || h[i+1] == '*' || h[i+1] == 'h')
	}
	return false
}

func looksLikeResponse(h []byte) bool {
	const want = "HTTP/1."
	if len(h) >= len(want) {
		return string(h[:len(want)]) == want
	}
	return len(h) > 0 && strings.HasPrefix(want, string(h))
}

func endsHead(b []byte) bool { return bytes.HasSuffix(b, []byte("\r\n\r\n")) }

// isWholeChunk is is_whole_chunk, of what looks like the end of a body.
func isWholeChunk(b []byte) bool {
	size, rest, ok := strings.Cut(string(b), "\r\n")
	n, err := strconv.ParseUint(size, 16, 32)
	return ok && err == nil && n > 0 && len(size) <= 8 && endsHead(b) && int(n)+2 == len(rest)
}

// isCommonMethod is is_common_method.
func isCommonMethod(word []byte) bool {
	return slices.Contains([]string{"GET ", "POST", "HEAD", "PUT ", "DELE", "PATC", "OPTI"}, string(word))
}

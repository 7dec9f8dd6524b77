// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// response is one response as it came over the wire.
type response struct {
	status  int
	interim []int // 1xx statuses before the final one
	wire    int64 // every byte: interim responses, head, framing, body
	body    int64 // decoded body bytes
	close   bool  // the server will not take another request here
}

// wireReader splits a byte stream into responses and counts what each one
// took. It is the oracle for every server, so it is written against RFC 9112
// and nothing else: no HTTP library is between it and the socket.
type wireReader struct {
	r     *bufio.Reader
	taken int64
}

func newWireReader(r io.Reader) *wireReader {
	return &wireReader{r: bufio.NewReaderSize(r, 64<<10)}
}

var errTrailingBytes = errors.New("bytes after the end of the response")

// next reads one final response (and the interim ones before it) to a request
// with the given method. onInterim, which may be nil, is called after each 1xx.
// On error the response holds what was read so far.
func (w *wireReader) next(method string, onInterim func(status int)) (response, error) {
	begin := w.taken
	var resp response
	for {
		head, err := w.head()
		resp.wire = w.taken - begin
		if err != nil {
			return resp, err
		}
		if head.status >= 100 && head.status < 200 && head.status != 101 {
			resp.interim = append(resp.interim, head.status)
			if onInterim != nil {
				onInterim(head.status)
			}
			continue
		}
		resp.status = head.status
		resp.close = head.closes
		resp.body, err = w.body(method, head, &resp)
		resp.wire = w.taken - begin
		return resp, err
	}
}

// rest reads up to n further bytes of a response that will not be finished.
func (w *wireReader) rest(n int64) (int64, error) {
	return w.skip(n)
}

type responseHead struct {
	status  int
	length  int64 // -1 when there is no Content-Length
	chunked bool
	closes  bool
}

func (w *wireReader) head() (responseHead, error) {
	h := responseHead{length: -1}
	line, err := w.line()
	if err != nil {
		return h, err
	}
	proto, rest, _ := strings.Cut(line, " ")
	if !strings.HasPrefix(proto, "HTTP/1.") || len(rest) < 3 {
		return h, fmt.Errorf("not a status line: %q", line)
	}
	if h.status, err = strconv.Atoi(rest[:3]); err != nil {
		return h, fmt.Errorf("status of %q: %w", line, err)
	}
	h.closes = proto == "HTTP/1.0"
	for {
		line, err := w.line()
		if err != nil {
			return h, err
		}
		if line == "" {
			return h, nil
		}
		if err := h.field(line); err != nil {
			return h, err
		}
	}
}

func (h *responseHead) field(line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return fmt.Errorf("not a header field: %q", line)
	}
	value = strings.ToLower(strings.TrimSpace(value))
	switch strings.ToLower(name) {
	case "content-length":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("content length: %w", err)
		}
		h.length = n
	case "transfer-encoding":
		h.chunked = strings.HasSuffix(value, "chunked")
	case "connection":
		if strings.Contains(value, "close") {
			h.closes = true
		} else if strings.Contains(value, "keep-alive") {
			h.closes = false
		}
	}
	return nil
}

func (w *wireReader) body(method string, h responseHead, resp *response) (int64, error) {
	switch {
	case method == "HEAD", h.status == 204, h.status == 304, h.status == 101:
		return 0, nil
	case h.chunked:
		return w.chunks()
	case h.length >= 0:
		return w.skip(h.length)
	}
	resp.close = true
	n, err := w.skip(1 << 62)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil // the end of the connection is the end of the body
	}
	return n, err
}

func (w *wireReader) chunks() (int64, error) {
	var body int64
	for {
		line, err := w.line()
		if err != nil {
			return body, err
		}
		size, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseInt(strings.TrimSpace(size), 16, 64)
		if err != nil {
			return body, fmt.Errorf("chunk size: %w", err)
		}
		if n == 0 {
			return body, w.trailers()
		}
		got, err := w.skip(n)
		body += got
		if err != nil {
			return body, err
		}
		if line, err = w.line(); err != nil {
			return body, err
		} else if line != "" {
			return body, fmt.Errorf("chunk is not followed by a line end but by %q", line)
		}
	}
}

func (w *wireReader) trailers() error {
	for {
		line, err := w.line()
		if err != nil || line == "" {
			return err
		}
	}
}

// line returns the next line without its end.
func (w *wireReader) line() (string, error) {
	s, err := w.r.ReadString('\n')
	w.taken += int64(len(s))
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return "", err
	}
	return strings.TrimRight(s, "\r\n"), nil
}

// skip takes n bytes and returns how many there were.
func (w *wireReader) skip(n int64) (int64, error) {
	got, err := io.CopyN(io.Discard, w.r, n)
	w.taken += got
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return got, err
}

// atEnd reports whether the stream ends exactly here.
func (w *wireReader) atEnd() error {
	_, err := w.r.Peek(1)
	switch {
	case err == nil:
		return errTrailingBytes
	case errors.Is(err, io.EOF):
		return nil
	}
	return err
}

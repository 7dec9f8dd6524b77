// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"regexp"
	"strconv"
)

// Access logs whose format cannot be chosen.

var uvicornLine = regexp.MustCompile(`"(\S+) (\S+) HTTP/[0-9.]+" ([0-9]{3})`)

func parseUvicornLog(s string) (logLine, bool) {
	m := uvicornLine.FindStringSubmatch(s)
	if m == nil {
		return logLine{}, false
	}
	status, err := strconv.Atoi(m[3])
	target := m[2]
	if target == "%2A" {
		target = "*"
	}
	return logLine{method: m[1], target: target, status: status, total: -1, body: -1, received: -1}, err == nil
}

func parseCaddyLog(s string) (logLine, bool) {
	var entry struct {
		Status  int   `json:"status"`
		Size    int64 `json:"size"`
		Request struct {
			Method string `json:"method"`
			URI    string `json:"uri"`
		} `json:"request"`
	}
	if err := json.Unmarshal([]byte(s), &entry); err != nil || entry.Request.Method == "" {
		return logLine{}, false
	}
	return logLine{
		method: entry.Request.Method, target: entry.Request.URI,
		status: entry.Status, total: -1, body: entry.Size, received: -1,
	}, true
}

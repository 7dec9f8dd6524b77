// SPDX-License-Identifier: Apache-2.0

package agent_test

import (
	"bytes"
	"testing"

	"probe/internal/agent"
)

func TestVisible(t *testing.T) {
	for s, want := range map[string]string{
		"":                              "",
		"getty@tty1":                    "getty@tty1",
		"a service":                     "a service",
		"a\tb\nc\rd\x00e":               "a?b?c?d?e",
		"\x1b[2J\x1b]0;title\a":         "?[2J?]0;title?",
		"\x7f\u009b31m":                 "??31m",
		"bad\xff\xc3utf8":               "bad??utf8",
		"right\u202eto\u2066left\u200b": "right?to?left?",
		"line\u2028end\u00a0":           "line?end?",
		"Größe é 日本":                    "Größe é 日本",
	} {
		if got := agent.Visible(s); got != want {
			t.Errorf("%q became %q, want %q", s, got, want)
		}
	}
}

// plain fails for a report that has bytes a terminal would act on.
func plain(t *testing.T, report []byte) {
	t.Helper()
	for i, c := range report {
		if c < ' ' && c != '\n' || c == 0x7f {
			t.Errorf("byte %#x at %d of %q", c, i, report[max(0, i-40):min(len(report), i+40)])
			return
		}
	}
	if bytes.Contains(report, []byte("\u009b")) {
		t.Errorf("a control character in %q", report)
	}
}

// SPDX-License-Identifier: Apache-2.0

package terminal_test

import (
	"testing"

	"probe/internal/terminal"
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
		if got := terminal.Visible(s); got != want {
			t.Errorf("%q became %q, want %q", s, got, want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

// Package terminal makes text of others fit for a person's screen.
package terminal

import (
	"strings"
	"unicode"
)

// Visible makes a name fit for a line of text: each character that is not
// visible becomes '?', and of the spaces only U+0020 stays. Names come from files
// and processes of others, who may have put a line end or a command to the
// terminal into them.
func Visible(s string) string {
	return strings.Map(func(c rune) rune {
		if c == unicode.ReplacementChar || !unicode.IsPrint(c) {
			return '?'
		}
		return c
	}, s)
}

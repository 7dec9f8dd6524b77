// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"strings"
	"unicode"
)

// Visible makes a name fit for a line of text: each character that is not
// visible becomes '?'. Names come from files and processes of others, who may
// have put a line end or a command to the terminal into them.
func Visible(s string) string {
	return strings.Map(func(c rune) rune {
		if c == unicode.ReplacementChar || c != ' ' && !unicode.IsGraphic(c) || unicode.Is(unicode.Z, c) && c != ' ' {
			return '?'
		}
		return c
	}, s)
}

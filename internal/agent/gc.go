// SPDX-License-Identifier: Apache-2.0

package agent

import "runtime/debug"

// gcPercent is how much garbage may be there, of what is in use. Requests leave
// next to none, so that collecting twice as often as Go would costs next to
// nothing; with very many connections it saves tens of megabytes.
const gcPercent = 50

// tuneGC leaves it to whoever has set GOGC.
func tuneGC(env func(string) string) {
	if env("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

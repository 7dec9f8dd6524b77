// SPDX-License-Identifier: Apache-2.0

package main

import "time"

// limits are the cells whose cause cannot be known, "runtime work", and why.
// Their time must be unattributed: a wrong cause is never allowed.
func limits() map[string]string {
	const scheduler = "a goroutine waits without a thread; the thread that read the request is idle or runs others, and what ends its idleness "
	return map[string]string{
		"go sleep": scheduler + "(a timer, perhaps of the holder of a lock) does not tell what the goroutine waited for.",
		"go lock":  scheduler + "(the holder's timer, another thread) does not tell that the goroutine waited for a lock.",
	}
}

// What every other cell must reach, of the median request.
const (
	leastRight = 0.90
	mostWrong  = 0.03
)

// leastTime is what a request must have taken to count: a lock may have been free.
const leastTime = 10 * time.Millisecond

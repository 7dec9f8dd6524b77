// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"strconv"
)

// The command is also its own servers: what probe observes must be other
// processes, and their counts are the truth it is compared with.
const (
	appCommand   = "app"   // PORT SOCKET: counts what it is asked
	briefCommand = "brief" // REQUESTS: serves so many and ends
	peerCommand  = "peer"  // has many connections to itself
)

// asChild does not return in a child.
func asChild() {
	if len(os.Args) < 3 {
		return
	}
	switch os.Args[1] {
	case appCommand:
		exit(serveApp(os.Args[2], os.Args[3]))
	case briefCommand:
		exit(serveBrief(os.Args[2]))
	case peerCommand:
		exit(servePeer(os.Args[2]))
	}
}

// number of a command line.
func number(text string) (int, error) { return strconv.Atoi(text) }

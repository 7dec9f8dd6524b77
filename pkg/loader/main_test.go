// SPDX-License-Identifier: Apache-2.0

package loader_test

import (
	"os"
	"testing"

	"probe/internal/testutil"
)

// The loader never observes its own process, so all traffic is made by
// children: this binary again, told by the environment what to be.
const (
	childEnv    = "PROBE_LOADER_TEST_CHILD"
	childPlayer = "player" // plays scenarios, both ends of each connection
	childWorker = "worker" // serves connections that the player passes to it
)

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case childPlayer:
		os.Exit(playerMain())
	case childWorker:
		os.Exit(workerMain())
	}
	testutil.Main(m)
}

// SPDX-License-Identifier: Apache-2.0

package export

import "probe/pkg/stats"

// partMetrics name the parts of a request's time, in the order of stats.Samples.Parts.
var partMetrics = [stats.NumParts]struct{ name, description string }{
	{"cpu", "on a CPU"},
	{"runq", "ready to run while another task had the CPU"},
	{"throttled", "ready to run with the CPU quota of its group used up"},
	{"memory", "reclaim, compaction, swap-in and major faults"},
	{"blocked.lock", "until another thread of the process woke it"},
	{"blocked.disk", "waiting for a disk"},
	{"blocked.net", "waiting for bytes on a socket"},
	{"blocked.sleep", "until a timer of its own ended"},
	{"blocked.other", "blocked for another reason; with --detail basic for any"},
	{"unattributed", "not known"},
}

// partsDescription ends the description of each.
const partsDescription = "; from the read to the last byte; not sent while 0"

// SPDX-License-Identifier: Apache-2.0

package export

import "probe/pkg/events"

// partMetrics name the parts of a request's time, by events.Part.
var partMetrics = [events.NumParts]struct{ name, description string }{
	events.PartCPU:          {"cpu", "on a CPU"},
	events.PartRunQueue:     {"runq", "ready to run while another task had the CPU"},
	events.PartThrottled:    {"throttled", "ready to run with the CPU quota of its group used up"},
	events.PartMemory:       {"memory", "reclaim, compaction, swap-in and major faults"},
	events.PartLock:         {"blocked.lock", "until another thread of the process woke it"},
	events.PartDisk:         {"blocked.disk", "waiting for a disk"},
	events.PartNet:          {"blocked.net", "waiting for bytes on a socket"},
	events.PartSleep:        {"blocked.sleep", "until a timer of its own ended"},
	events.PartOther:        {"blocked.other", "blocked for another reason; with --detail basic for any"},
	events.PartUnattributed: {"unattributed", "not known"},
}

// partsDescription ends the description of each.
const partsDescription = "; from the read to the last byte; not sent while 0"

// SPDX-License-Identifier: Apache-2.0

package accesslog

import "probe/pkg/events"

// appendParts adds the parts of a request's time to its "wait" object.
func appendParts(b []byte, t *events.Times, after bool) []byte {
	part := func(key string, p events.Part) {
		if after {
			b = append(b, ',')
		}
		after = true
		b = appendNumber(b, key, uint64(t.Part[p]))
	}
	part(`"cpu_ns":`, events.PartCPU)
	part(`"runq_ns":`, events.PartRunQueue)
	part(`"throttled_ns":`, events.PartThrottled)
	part(`"memory_ns":`, events.PartMemory)
	b = append(b, `,"blocked":{`...)
	after = false
	part(`"lock_ns":`, events.PartLock)
	part(`"disk_ns":`, events.PartDisk)
	part(`"net_ns":`, events.PartNet)
	part(`"sleep_ns":`, events.PartSleep)
	part(`"other_ns":`, events.PartOther)
	b = append(b, '}')
	part(`"unattributed_ns":`, events.PartUnattributed)
	return b
}

// appendAttribution adds whose time that is, the page faults, and who had the
// CPU meanwhile.
func appendAttribution(b []byte, t *events.Times) []byte {
	b = append(b, `,"attribution":"`...)
	b = append(b, t.Attribution.String()...)
	b = appendNumber(b, `","faults":{"major":`, uint64(t.MajorFaults))
	b = appendNumber(b, `,"minor":`, uint64(t.MinorFaults))
	b = append(b, '}')
	if t.PushedBy.PID == 0 {
		return b
	}
	b = appendNumber(b, `,"pushed_by":{"pid":`, uint64(t.PushedBy.PID))
	b = appendString(append(b, `,"comm":`...), []byte(t.PushedBy.Name()))
	if t.PushedBy.Cgroup != "" {
		b = appendString(append(b, `,"service":`...), []byte(t.PushedBy.Service))
		b = appendString(append(b, `,"cgroup":`...), []byte(t.PushedBy.Cgroup))
	}
	b = appendNumber(b, `,"cpu":`, uint64(t.PushedBy.CPU))
	b = appendNumber(b, `,"ns":`, uint64(t.PushedBy.For))
	return append(b, '}')
}

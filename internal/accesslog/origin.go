// SPDX-License-Identifier: Apache-2.0

package accesslog

import "probe/pkg/events"

// appendOrigin adds the names of container and pod; they are always there, and
// "" where there is none.
func appendOrigin(b []byte, o *events.Origin) []byte {
	if o == nil {
		return append(b, `,"container":"","container_id":"","pod":"","namespace":"","workload":""`...)
	}
	b = appendString(append(b, `,"container":`...), []byte(o.Container))
	b = appendString(append(b, `,"container_id":`...), []byte(o.ContainerID))
	b = appendString(append(b, `,"pod":`...), []byte(o.Pod))
	b = appendString(append(b, `,"namespace":`...), []byte(o.Namespace))
	return appendString(append(b, `,"workload":`...), []byte(o.Workload))
}

// SPDX-License-Identifier: Apache-2.0

package events

import (
	"cmp"
	"unique"
)

// Origin says where a process runs, in names people know; "" where that is not
// known, or there is no such thing.
type Origin struct {
	// Container is the container's name, ContainerID the id its runtime gave it.
	Container, ContainerID string
	// Pod and Namespace are those of Kubernetes; of Docker Compose and Swarm the
	// namespace is the project or stack.
	Pod, Namespace string
	// Workload is the Deployment, StatefulSet, DaemonSet, Job or CronJob behind
	// the pod, or the service of Compose or Swarm.
	Workload string
}

// OriginKey is an Origin in the size of a pointer: equal Origins have equal keys.
// The zero value is that of the zero Origin.
type OriginKey struct{ handle unique.Handle[Origin] }

// Key returns the key of o. It takes a look-up; do it once per process.
func (o Origin) Key() OriginKey {
	if o == (Origin{}) {
		return OriginKey{}
	}
	return OriginKey{unique.Make(o)}
}

// Origin returns what the key stands for.
func (k OriginKey) Origin() Origin {
	if k == (OriginKey{}) {
		return Origin{}
	}
	return k.handle.Value()
}

// Compare orders keys by namespace, workload, container, pod and id.
func (k OriginKey) Compare(other OriginKey) int {
	if k == other {
		return 0
	}
	a, b := k.Origin(), other.Origin()
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Workload, b.Workload),
		cmp.Compare(a.Container, b.Container), cmp.Compare(a.Pod, b.Pod), cmp.Compare(a.ContainerID, b.ContainerID))
}

// Equal is ==.
func (k OriginKey) Equal(other OriginKey) bool { return k == other }

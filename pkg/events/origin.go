// SPDX-License-Identifier: Apache-2.0

package events

import (
	"cmp"
	"encoding/json"
	"unique"
)

// Origin says where a process runs, in names people know; "" where that is not
// known, or there is no such thing.
type Origin struct {
	// Container is the container's name, ContainerID the id its runtime gave it.
	Container   string `json:"container,omitempty"`
	ContainerID string `json:"container_id,omitempty"`
	// Pod and Namespace are those of Kubernetes; of Docker Compose and Swarm the
	// namespace is the project or stack.
	Pod       string `json:"pod,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	// Workload is the Deployment, StatefulSet, DaemonSet, Job or CronJob behind
	// the pod, or the service of Compose or Swarm.
	Workload string `json:"workload,omitempty"`
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

// MarshalJSON writes the Origin.
func (k OriginKey) MarshalJSON() ([]byte, error) { return json.Marshal(k.Origin()) }

// UnmarshalJSON reads an Origin.
func (k *OriginKey) UnmarshalJSON(data []byte) error {
	var o Origin
	if err := json.Unmarshal(data, &o); err != nil {
		return err
	}
	*k = o.Key()
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"errors"
	"fmt"
	"strings"

	"probe/internal/single"
	"probe/pkg/export"
)

// otherAgents lists agents of this host that send to a receiver.
func (h host) otherAgents() Check {
	const name = "other_agents"
	const twice = "two agents may send the same figures: "
	err := single.Check(h.LockDir)
	if refusal, refused := errors.AsType[*single.Refusal](err); refused {
		return degraded(name, "not known", twice+refusal.Why, refusal.Remedy)
	}
	holders, err := single.Holders(h.LockDir)
	switch {
	case err != nil:
		return degraded(name, "not known", twice+err.Error(), "rm -r "+h.LockDir)
	case len(holders) == 0:
		return fine(name, "none", "no other agent sends figures of this host")
	}
	var all []string
	for _, one := range holders {
		all = append(all, fmt.Sprintf("process %d to %s", one.PID, one.Key))
		if h.Target.Scheme != export.Stdout && h.Target != (export.Target{}) && one.Key == single.Key(h.Target.String(), h.Prefix) {
			return degraded(name, all[len(all)-1], "a second agent with the same receiver waits and then ends",
				fmt.Sprintf("stop process %d first, or probe run --allow-second", one.PID))
		}
	}
	return fine(name, strings.Join(all, ", "), "runs beside this one without disturbing it")
}

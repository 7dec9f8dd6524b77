// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The kernel's delay accounting is the oracle of reclaim: it takes the time of
// a task in it, by other means than the tracepoints of the probe.

const accountingSwitch = "/proc/sys/kernel/task_delayacct"

// accountDelays switches it on for processes that are started from now on, and
// returns what puts the switch back.
func accountDelays() (restore func(), err error) {
	was, err := os.ReadFile(accountingSwitch)
	if err != nil {
		return nil, fmt.Errorf("read the switch of delay accounting (Linux 5.14, CONFIG_TASK_DELAY_ACCT): %w", err)
	}
	if strings.TrimSpace(string(was)) != "0" {
		return func() {}, nil
	}
	if err := os.WriteFile(accountingSwitch, []byte("1"), 0o644); err != nil {
		return nil, fmt.Errorf("switch delay accounting on: %w", err)
	}
	return func() {
		if err := os.WriteFile(accountingSwitch, was, 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "switch delay accounting off:", err)
		}
	}, nil
}

// reclaimDelay returns how long the threads of a process were in direct reclaim.
func reclaimDelay(pid int) (time.Duration, error) {
	family, err := netlink.GenlFamilyGet(unix.TASKSTATS_GENL_NAME)
	if err != nil {
		return 0, fmt.Errorf("find taskstats: %w", err)
	}
	q := nl.NewNetlinkRequest(int(family.ID), 0)
	q.AddData(&nl.Genlmsg{Command: unix.TASKSTATS_CMD_GET, Version: unix.TASKSTATS_GENL_VERSION})
	q.AddData(nl.NewRtAttr(unix.TASKSTATS_CMD_ATTR_TGID, nl.Uint32Attr(uint32(pid))))
	messages, err := q.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil || len(messages) == 0 {
		return 0, fmt.Errorf("ask taskstats for process %d: %w", pid, err)
	}
	b, err := attribute(messages[0][nl.SizeofGenlmsg:], unix.TASKSTATS_TYPE_AGGR_TGID)
	if err == nil {
		b, err = attribute(b, unix.TASKSTATS_TYPE_STATS)
	}
	if err != nil {
		return 0, err
	}
	const at = unsafe.Offsetof(unix.Taskstats{}.Freepages_delay_total)
	if len(b) < int(at)+8 {
		return 0, fmt.Errorf("read taskstats: only %d bytes", len(b))
	}
	return time.Duration(binary.NativeEndian.Uint64(b[at:])), nil
}

func attribute(b []byte, kind uint16) ([]byte, error) {
	attributes, err := nl.ParseRouteAttr(b)
	if err != nil {
		return nil, fmt.Errorf("read taskstats: %w", err)
	}
	for _, a := range attributes {
		if a.Attr.Type == kind {
			return a.Value, nil
		}
	}
	return nil, fmt.Errorf("read taskstats: no attribute %d", kind)
}

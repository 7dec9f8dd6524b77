// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifier tells the service manager what it wants to know (sd_notify(3)).
// Without one, NOTIFY_SOCKET is not set and it does nothing.
type notifier struct {
	log *slog.Logger
	// watchdog is the interval in which the manager wants a sign of life; 0:
	// it wants none.
	watchdog time.Duration
}

func newNotifier(log *slog.Logger) *notifier {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("watchdog of the service manager not used", "error", err)
	}
	return &notifier{log: log, watchdog: interval}
}

func (n *notifier) ready(status string) { n.send(daemon.SdNotifyReady + "\nSTATUS=" + status) }
func (n *notifier) stopping()           { n.send(daemon.SdNotifyStopping) }

// reloading must be followed by ready. The manager wants the time of it.
func (n *notifier) reloading(nowNS uint64) {
	n.send(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, nowNS/uint64(time.Microsecond)))
}

func (n *notifier) alive() {
	if n.watchdog > 0 {
		n.send(daemon.SdNotifyWatchdog)
	}
}

func (n *notifier) send(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		n.log.Warn("service manager not told", "error", err)
	}
}

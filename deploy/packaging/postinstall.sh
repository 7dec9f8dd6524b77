#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# After installation: an agent that runs takes the new version; a new one is not
# started, for its receiver must be chosen first.
set -e
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
systemctl try-restart probe.service || true # masked, or not well: systemd says so; the package is installed
if ! systemctl is-enabled --quiet probe.service; then
	echo "probe: set the receiver in /etc/probe/config.yaml, then: systemctl enable --now probe"
fi

#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# After removal. Totals go only when the configuration goes too (apt purge).
set -e
if [ "${1-}" = purge ]; then
	rm -rf /var/lib/probe /var/lib/private/probe /run/probe
fi
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload

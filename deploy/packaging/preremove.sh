#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Before removal, not before an upgrade: deb says remove, rpm 0 packages left.
set -e
case "${1-}" in
remove | 0) ;;
*) exit 0 ;;
esac
[ -d /run/systemd/system ] || exit 0
systemctl disable --now probe.service

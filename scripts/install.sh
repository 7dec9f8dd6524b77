#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs bin/probe (make build) and its service on this host, or removes them.
#
#	scripts/install.sh              install or upgrade
#	scripts/install.sh --uninstall  remove; settings and totals stay
#	scripts/install.sh --purge      remove them too
#
# DESTDIR  install below this directory, and touch no service
set -eu
cd "$(dirname "$0")/.."

dest=${DESTDIR-}
binary=$dest/usr/bin/probe
unit=$dest/etc/systemd/system/probe.service
config=$dest/etc/probe/config.yaml
defaults=$dest/etc/default/probe
documents=$dest/usr/share/doc/probe

# with_systemd runs a command where systemd runs and this is the host itself.
with_systemd() {
	if [ -z "$dest" ] && [ -d /run/systemd/system ]; then "$@"; fi
}

need_root() {
	if [ -z "$dest" ] && [ "$(id -u)" != 0 ]; then
		echo "install: run it as root" >&2
		exit 1
	fi
}

install_all() {
	if [ ! -x bin/probe ]; then
		echo "install: no bin/probe; run make build first" >&2
		exit 1
	fi
	install -D -m 755 bin/probe "$binary.new"
	mv "$binary.new" "$binary" # a running agent keeps the old file
	install -D -m 644 deploy/systemd/probe.service "$unit"
	install -D -m 644 -t "$documents" README.md CHANGELOG.md
	install -D -m 644 -t "$documents/docs" docs/*.md
	[ -e "$config" ] || install -D -m 644 deploy/systemd/config.yaml "$config"
	[ -e "$defaults" ] || install -D -m 644 deploy/systemd/default "$defaults"
	with_systemd systemctl daemon-reload
	with_systemd systemctl try-restart probe.service
	echo "installed; set the receiver in $config, then: systemctl enable --now probe"
}

remove_all() {
	with_systemd systemctl disable --now probe.service || true # it may never have been there
	rm -f "$binary" "$unit"
	rm -rf "$documents"
	if [ "$1" = --purge ]; then
		rm -rf "$config" "$defaults" "$dest/var/lib/probe" "$dest/var/lib/private/probe"
		rmdir "$dest/etc/probe" 2>/dev/null || true # the user may have files there
	fi
	with_systemd systemctl daemon-reload
	echo "removed"
}

case "${1-}" in
'') need_root && install_all ;;
--uninstall | --purge) need_root && remove_all "$1" ;;
*)
	sed -n 's/^# \{0,1\}//p' "$0" | sed -n 3,9p >&2
	exit 2
	;;
esac

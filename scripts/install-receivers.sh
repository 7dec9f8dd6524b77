#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs the receivers of `make test-receivers` that are too large for every
# run of the tests: collectd and netdata from Debian packages, without starting
# them, and a small Telegraf, built from source into bin/test-tools.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin:/usr/local/go/bin

telegraf_version=v1.37.2

missing=
command -v collectd >/dev/null 2>&1 || missing="collectd-core libprotobuf-c1 libmicrohttpd12"
command -v netdata >/dev/null 2>&1 || missing="$missing netdata-core"
if [ -n "$missing" ]; then
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
		trap 'rm -f "$policy"' EXIT
		trap 'exit 1' HUP INT TERM
	fi
	export DEBIAN_FRONTEND=noninteractive
	[ "${APT_UPDATED-}" = 1 ] || apt-get -q update
	# shellcheck disable=SC2086 # a list of packages
	apt-get -q install -y --no-install-recommends $missing </dev/null
fi

tools=$PWD/bin/test-tools
if [ ! -e "$tools/telegraf-$telegraf_version" ]; then
	build=$(mktemp -d)
	cp scripts/receivers/telegraf/go.mod scripts/receivers/telegraf/main.go "$build"
	(
		cd "$build"
		GOFLAGS=-buildvcs=false go get "github.com/influxdata/telegraf@$telegraf_version"
		GOFLAGS=-buildvcs=false go build -mod=mod -o "$tools/telegraf-$telegraf_version" .
	)
	rm -rf "$build"
	ln -sf "telegraf-$telegraf_version" "$tools/telegraf"
fi

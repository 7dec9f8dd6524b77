#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Installs the servers and clients that scripts/conformance plays with, from
# Debian packages, and what deploy/validate needs to try packages and
# containers, without starting any of them, and into bin/test-tools the statsd
# receivers that the tests of pkg/export start. Does nothing, quickly, when
# nothing is missing.
#
#	scripts/install-test-deps.sh           install what is missing
#	scripts/install-test-deps.sh --check   only list what is missing
set -eu
cd "$(dirname "$0")/.."

missing=

# need PROBE PACKAGE...: the packages are wanted unless PROBE, a program or a
# file, is there.
need() {
	probe=$1
	shift
	case $probe in
	/*) [ -e "$probe" ] && return 0 ;;
	*) command -v "$probe" >/dev/null 2>&1 && return 0 ;;
	esac
	missing="$missing $*"
}

PATH=$PATH:/usr/sbin:/sbin:/usr/local/go/bin
need nginx nginx-light
need /usr/lib/nginx/modules/ngx_http_echo_module.so libnginx-mod-http-echo
need apache2 apache2
need ab apache2-utils
need haproxy haproxy
need lighttpd lighttpd
need caddy caddy
need php php-cli
need ruby ruby
need puma puma
need gunicorn gunicorn
need node nodejs
need npm npm
need gcc gcc libc6-dev
need java default-jdk-headless
need wrk wrk
need curl curl
need socat socat
need ip iproute2
need ss iproute2
need runc runc
need podman podman
need conmon conmon
need setpriv util-linux
need rpm rpm
need crun crun
need /usr/bin/python3 python3
need /usr/lib/python3/dist-packages/gunicorn python3-gunicorn
need /usr/lib/python3/dist-packages/uvicorn python3-uvicorn
need /usr/lib/python3/dist-packages/aiohttp python3-aiohttp
need go golang-go
# The place of a gem depends on the version of Ruby.
if ! command -v ruby >/dev/null 2>&1 || ! ruby -e 'require "webrick"' 2>/dev/null; then
	missing="$missing ruby-webrick"
fi
# `java Server.java` needs the compiler, which a runtime alone does not have.
if command -v java >/dev/null 2>&1 && ! command -v javac >/dev/null 2>&1; then
	missing="$missing default-jdk-headless"
fi

# receivers installs the statsd receivers whose version is not there.
tools=bin/test-tools
statsd=0.9.0
statsd_exporter=v0.31.0
receivers_missing() {
	[ -e "$tools/etsy-$statsd" ] || echo "statsd@$statsd"
	[ -e "$tools/statsd_exporter-$statsd_exporter" ] || echo "statsd_exporter@$statsd_exporter"
}
receivers() {
	mkdir -p "$tools"
	if [ ! -e "$tools/etsy-$statsd" ]; then
		npm install --prefix "$tools/etsy" --no-audit --no-fund --omit=optional --ignore-scripts "statsd@$statsd"
		rm -rf "$tools/etsy/node_modules/statsd/examples" # Go sources among them
		touch "$tools/etsy-$statsd"
	fi
	if [ ! -e "$tools/statsd_exporter-$statsd_exporter" ]; then
		GOFLAGS=-buildvcs=false GOBIN="$PWD/$tools" go install "github.com/prometheus/statsd_exporter@$statsd_exporter"
		touch "$tools/statsd_exporter-$statsd_exporter"
	fi
}

if [ -z "$missing" ] && [ -z "$(receivers_missing)" ]; then
	echo "nothing is missing"
	exit 0
fi
echo "missing:$missing" $(receivers_missing)
[ "${1-}" = --check ] && exit 1
if [ -z "$missing" ]; then
	receivers
	exit 0
fi

if [ "$(id -u)" != 0 ]; then
	echo "run it as root to install them" >&2
	exit 1
fi

# Packages start their services when installed; this keeps them from it. A
# policy that is there already is left alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	trap 'rm -f "$policy"' EXIT
	trap 'exit 1' HUP INT TERM
fi

export DEBIAN_FRONTEND=noninteractive
# APT_UPDATED=1: the package lists are fresh.
[ "${APT_UPDATED-}" = 1 ] || apt-get -q update
# shellcheck disable=SC2086 # a list of packages
apt-get -q install -y --no-install-recommends $missing </dev/null
receivers

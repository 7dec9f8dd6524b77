#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# One curl for all steps, so that it can keep its connection.
set -eu
base=$1
shift
next=
for step; do
	# shellcheck disable=SC2086 # three words
	set -- $step
	printf '%surl = "%s"\nsilent\noutput = /dev/null\n' "$next" "$base$2"
	next='next
'
	[ "$1" != HEAD ] || echo head
	case $3 in
	-) continue ;;
	chunked:*) echo 'header = "Transfer-Encoding: chunked"' ;;
	esac
	size=${3#chunked:}
	head -c "$size" /dev/zero >"body.$size"
	printf 'request = %s\ndata-binary = "@body.%s"\n' "$1" "$size"
done >steps.conf
exec curl --config steps.conf

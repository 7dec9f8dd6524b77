#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The dynamic part of servers that have no application of their own.
type='Content-Type: text/plain'
case "$PATH_INFO" in
/status/*) printf 'Status: %s Test\n%s\n\n' "${PATH_INFO#/status/}" "$type"
	case "$PATH_INFO" in *204 | *304) ;; *) echo status ;; esac ;;
/post | /early) n=$(wc -c); printf '%s\n\n%s\n' "$type" "$n" ;;
/chunked) printf '%s\n\n' "$type"; echo one; echo two-two; echo three-three-three ;;
/sleep/300) sleep 0.3; printf '%s\n\nslept\n' "$type" ;;
/stream)
	printf '%s\n\n' "$type"
	for i in 0 1 2 3 4 5 6 7 8 9; do
		[ "$i" = 0 ] || sleep 0.05
		printf '%01000d' 0
	done ;;
*) printf 'Status: 404 Not Found\n%s\n\nno such path\n' "$type" ;;
esac

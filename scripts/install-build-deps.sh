#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what regenerating the BPF objects, checking their format and the race
# detector need, on Debian and Ubuntu. Packages already there cost nothing.
#
# CLANG_VERSION  major version of clang (default 14, as in the Makefile)
# APT_UPDATED=1  the package lists are fresh, do not fetch them again
set -euo pipefail

version=${CLANG_VERSION:-14}
packages=(
  "clang-$version" "llvm-$version" "clang-format-$version"
  libbpf-dev linux-libc-dev # bpf_helpers.h, linux/bpf.h
  gcc libc6-dev             # the race detector links with C
  make git
)

if ! command -v apt-get >/dev/null; then
  # Another distribution: say what is missing instead of guessing its names.
  for tool in "clang-$version" "llvm-strip-$version" "clang-format-$version" gcc make git; do
    command -v "$tool" >/dev/null || { echo "install-build-deps: please install $tool" >&2; exit 1; }
  done
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0

root=()
if [ "$(id -u)" -ne 0 ]; then
  root=(sudo)
fi
echo "install-build-deps: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
if [ "${APT_UPDATED:-}" != 1 ]; then
  "${root[@]}" apt-get update -q
fi
"${root[@]}" apt-get install -qy --no-install-recommends "${missing[@]}" </dev/null

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what `make test-kernels` needs, on Debian: QEMU for x86-64 and arm64.
# QEMU 7.2 of Debian 12 panics newer guests half of the time; there the one of
# the backports is taken, by means of a list of sources that is not kept.
#
# DEBIAN_MIRROR  where Debian is to be had (default: the first mirror of apt)
# UBUNTU_MIRROR  where Ubuntu is to be had: gets the key that signs its kernels
set -euo pipefail

oldest=9 # major version of QEMU

enough() {
  local program version
  for program in qemu-system-x86_64 qemu-system-aarch64; do
    command -v "$program" >/dev/null || return 1
    version=$("$program" --version | sed -nE '1s/.*version ([0-9]+).*/\1/p')
    [ "${version:-0}" -ge "$oldest" ] || return 1
  done
}

ubuntu_keyring=/usr/share/keyrings/ubuntu-archive-keyring.gpg
has_key() { [ -z "${UBUNTU_MIRROR:-}" ] || [ -e "$ubuntu_keyring" ]; }

install_key() {
  package=$(mktemp --suffix .deb)
  trap 'rm -f "$package"' EXIT
  /usr/lib/apt/apt-helper download-file "$UBUNTU_MIRROR/pool/main/u/ubuntu-keyring/ubuntu-keyring_2023.11.28.1_all.deb" \
    "$package" SHA256:36de43b15853ccae0028e9a767613770c704833f82586f28eb262f0311adb8a8
  dpkg-deb --fsys-tarfile "$package" | tar --extract --to-stdout ".$ubuntu_keyring" >"$ubuntu_keyring.new"
  mv "$ubuntu_keyring.new" "$ubuntu_keyring"
  rm -f "$package"
}

enough && has_key && exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "install-kernel-deps: run it as root, or install QEMU $oldest or later (and $ubuntu_keyring for Ubuntu)" >&2
  exit 1
fi
has_key || install_key
enough && exit 0

export DEBIAN_FRONTEND=noninteractive
packages=(qemu-system-x86 qemu-system-arm debian-archive-keyring)
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
if [ "$codename" != bookworm ]; then
  [ "${APT_UPDATED:-}" = 1 ] || apt-get update -q
  apt-get install -qy --no-install-recommends "${packages[@]}" </dev/null
else
  mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)}
  private=$(mktemp -d)
  trap 'rm -rf "$private"' EXIT
  mkdir -p "$private/lists/partial"
  for suite in bookworm bookworm-updates bookworm-backports; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
  done >"$private/sources.list"
  apt=(apt-get -q -o "Dir::Etc::SourceList=$private/sources.list" -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$private/lists")
  "${apt[@]}" update
  "${apt[@]}" install -y --no-install-recommends -t bookworm-backports "${packages[@]}" </dev/null
fi
enough || { echo "install-kernel-deps: QEMU $oldest or later is not to be had here" >&2; exit 1; }

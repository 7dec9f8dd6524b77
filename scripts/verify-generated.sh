#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Regenerates the BPF objects and their Go bindings in a copy of the tree and
# compares them with the committed ones, byte for byte. The compiler is pinned in
# the Makefile; with another one the objects differ and this fails.
set -euo pipefail
cd "$(dirname "$0")/.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

# All files git would commit, as they are now.
git ls-files -z --cached --others --exclude-standard |
  while IFS= read -r -d '' file; do [ ! -f "$file" ] || printf '%s\0' "$file"; done |
  tar --null --files-from=- -cf - | tar -xf - -C "$copy"

generated() { (cd "$1" && find . -path ./.git -prune -o \( -name '*_bpfel.o' -o -name '*_bpfel.go' \) -print | LC_ALL=C sort); }

before=$(generated "$copy")
if [ -z "$before" ]; then
  echo "verify-generated: no generated files are committed; run make generate" >&2
  exit 1
fi
# Removing them first also finds the ones that nothing generates any more.
(cd "$copy" && xargs -d '\n' rm -f <<<"$before")
make -s -C "$copy" generate

failed=0
while IFS= read -r file; do
  if ! cmp -s "$file" "$copy/$file"; then
    echo "verify-generated: $file is out of date; run make generate and commit it" >&2
    failed=1
  fi
done < <(printf '%s\n%s\n' "$before" "$(generated "$copy")" | LC_ALL=C sort -u)
exit "$failed"

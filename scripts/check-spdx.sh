#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks that every source file names its licence in its first three lines: the
# kernel side is (GPL-2.0-only OR BSD-2-Clause), all the rest Apache-2.0.
# Files that git ignores, test data, and generated files are left out.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
checked=0
check() { # file licence
  checked=$((checked + 1))
  local line
  line=$(head -n 3 "$1" | grep -F 'SPDX-License-Identifier:' || true)
  line=${line#*SPDX-License-Identifier: }
  line=${line%% \*/}
  if [ "$line" != "$2" ]; then
    echo "$1: wants \"SPDX-License-Identifier: $2\" in its first three lines" >&2
    failed=1
  fi
}

while IFS= read -r -d '' file; do
  [ -f "$file" ] || continue # deleted, not yet committed
  case "$file" in
    */testdata/* | *_bpfel.go) ;;
    bpf/*.c | bpf/*.h) check "$file" '(GPL-2.0-only OR BSD-2-Clause)' ;;
    *.go | *.c | *.h | *.sh | *.py | Makefile | Vagrantfile | *Dockerfile* | .ci/run) check "$file" 'Apache-2.0' ;;
  esac
done < <(git ls-files -z --cached --others --exclude-standard)

if [ "$checked" -eq 0 ]; then
  echo "check-spdx: no source files found" >&2
  exit 1
fi
exit "$failed"

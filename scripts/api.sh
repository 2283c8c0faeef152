#!/usr/bin/env bash
# Compares what the crates that others use show to their users with what is kept in crates/*/api.txt, so that nobody changes it
# without seeing that. A line that is gone or changed takes another 0.x version (SemVer); one that is new does not.
#
#   scripts/api.sh            fails with the differences
#   scripts/api.sh --keep     writes the files anew
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."
CARGO_BUILD_TARGET=$(scripts/target.sh)
export CARGO_BUILD_TARGET

# Rustdoc's JSON is not stable: rustdoc alone is told to make it nevertheless, and the text here leaves out what changes.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc "$@"\n' >"$work/rustdoc"
chmod +x "$work/rustdoc"

failed=
for folder in crates/{cni,files,cni-plugin,cni-runtime}; do
    name=${folder#*/}
    RUSTDOC=$work/rustdoc cargo rustdoc --locked --quiet -p "ferrocni-$name" --lib -- -Zunstable-options --output-format json
    shown=$(scripts/api.py "${CARGO_TARGET_DIR:-target}/$CARGO_BUILD_TARGET/doc/${name//-/_}.json")
    if [ "${1-}" = --keep ]; then
        echo "$shown" >"$folder/api.txt"
    elif ! diff -u "$folder/api.txt" - <<<"$shown"; then
        failed=yes
    fi
done
[ -z "$failed" ] || { echo "api.sh: the public surface has changed: if so it shall be, scripts/api.sh --keep" >&2; exit 1; }

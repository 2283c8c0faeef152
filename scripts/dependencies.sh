#!/usr/bin/env bash
# Checks what the workspace is made of: licences, where crates are from, the oldest Rust that will do, dependencies that nobody uses,
# and known vulnerabilities.
#
# Vulnerabilities are those of scripts/advisories.txt, which needs no network.
#
#   scripts/dependencies.sh
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."

# Licences that may be linked into an Apache-2.0 program.
LICENCES='["Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT",
           "Unicode-3.0", "Unlicense", "Zlib"]'

failed=
# Says what was found, a line each, or that there is nothing.
report() {
    local found=$1 nothing=$2
    if [ -n "$found" ]; then
        echo "$found" >&2
        failed=yes
    else
        echo "$nothing"
    fi
}

metadata=$(cargo metadata --locked --format-version 1)

# Each part of a licence expression that is joined by AND has to offer a licence from the list.
licences() {
    jq -r --argjson allowed "$LICENCES" '
        def acceptable: gsub("[()]"; "") | split(" OR ") - (split(" OR ") - $allowed) | length > 0;
        .packages[] | select((.license // "none" | gsub(" */ *"; " OR ")) | split(" AND ") | all(acceptable) | not)
        | "not an accepted licence: \(.name) \(.version): \(.license)"' <<<"$metadata"
}

sources() {
    jq -r '.packages[] | select(.source != null and (.source | test("^registry\\+") | not))
        | "not from crates.io: \(.name) \(.version): \(.source)"' <<<"$metadata"
}

# What the crates themselves say that they need, on the systems that ferrocni is for. That its own sources call nothing newer is a
# lint's to see (clippy's incompatible_msrv).
oldest_rust() {
    local oldest
    oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    cargo metadata --locked --format-version 1 --filter-platform "$(scripts/target.sh)" | jq -r --arg oldest "$oldest" '
        def numbers: split(".") | map(tonumber) | . + [0, 0] | .[:3];
        ([.resolve.nodes[].id]) as $used
        | .packages[] | select(.rust_version != null and (.id | IN($used[])))
        | select((.rust_version | numbers) > ($oldest | numbers))
        | "needs Rust \(.rust_version), newer than \($oldest) (rust-version in Cargo.toml): \(.name) \(.version)"'
}

# A dependency whose name is in no source of the package.
unused() {
    local folder name
    jq -r '.packages[] | select(.source == null) | (.manifest_path | rtrimstr("/Cargo.toml")) as $folder
        | .dependencies[] | "\($folder) \(.rename // .name)"' <<<"$metadata" | while read -r folder name; do
        grep -rqw --include='*.rs' -- "$(library_of "$name")" "$folder" || echo "unused dependency: $name of ${folder#"$PWD"/}"
    done
}

# What a package is called in sources.
declare -A libraries=()
while read -r name library; do libraries[$name]=$library; done < <(jq -r '.packages[]
    | .name as $name | .targets[] | select(.kind | any(IN("lib", "proc-macro"))) | "\($name) \(.name)"' <<<"$metadata")
library_of() { echo "${libraries[$1]:-$1}" | tr - _; }

# Lines of `advisory crate range...`, where a range begins with the version that brought the vulnerability and ends before the one
# that took it away: `1.2.0..1.4.3`.
advisories() {
    local advisory name ranges version range
    while read -r advisory name ranges; do
        for version in $(jq -r --arg name "$name" '.packages[] | select(.name == $name).version' <<<"$metadata"); do
            for range in $ranges; do
                ! is_in "$version" "${range%..*}" "${range#*..}" || echo "$advisory: $name $version"
            done
        done
    done < <(sed '/^#/d; /^$/d' scripts/advisories.txt)
}

is_in() { # VERSION FROM BEFORE
    [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ] && [ "$1" != "$3" ] &&
        [ "$(printf '%s\n' "$1" "$3" | sort -V | head -n 1)" = "$1" ]
}

report "$(licences)" "all licences are accepted"
report "$(sources)" "all crates are from crates.io"
report "$(oldest_rust)" "no crate needs a newer Rust than $(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)"
report "$(unused)" "every dependency is used"
report "$(advisories)" "no known vulnerability ($(sed -n 's/^# As of //p' scripts/advisories.txt))"
[ -z "$failed" ]

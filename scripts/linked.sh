#!/usr/bin/env bash
# What is linked into the programs, besides ferrocni itself: crates, Rust's standard library and, in static programs, musl.
#
#   scripts/linked.sh sbom        a bill of materials (CycloneDX 1.5, JSON)
#   scripts/linked.sh licences    the crates with their licences, and the texts of these
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/.."
CARGO_BUILD_TARGET=$(scripts/target.sh)

programs() { for main in {plugins,ipam,apps}/*/src/main.rs; do echo "${main%/src/main.rs}/Cargo.toml"; done; }

# name and version a line.
names_and_versions() {
    local packages=() manifest
    while read -r manifest; do packages+=(-p "$(sed -n 's/^name = "\(.*\)"/\1/p;T;q' "$manifest")"); done < <(programs)
    cargo tree --locked "${packages[@]}" --target "$CARGO_BUILD_TARGET" -e normal,no-proc-macro --prefix none --no-dedupe \
        --format '{p}' | sed 's/^\([^ ]*\) v\([^ ]*\).*/\1 \2/' | sort -u
}

# An array of packages as `cargo metadata` describes them, without those of this workspace.
crates() {
    cargo metadata --locked --format-version 1 --filter-platform "$CARGO_BUILD_TARGET" | jq --arg linked "$(names_and_versions)" '
        ($linked | split("\n")) as $linked
        | [.packages[] | select(.source != null) | select("\(.name) \(.version)" as $this | any($linked[]; . == $this))]
        | sort_by(.name, .version)'
}

checksums() { awk '/^name/ { name = $3 } /^version/ { version = $3 } /^checksum/ { print name, version, $3 }' Cargo.lock | tr -d '"'; }

sbom() {
    local version
    version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
    crates | jq --arg version "$version" --arg checksums "$(checksums)" --arg rust "$(rustc --version | cut -d' ' -f2)" '
        ($checksums | split("\n") | map(split(" ") | {key: "\(.[0]) \(.[1])", value: .[2]}) | from_entries) as $checksum
        | {bomFormat: "CycloneDX", specVersion: "1.5", version: 1,
           metadata: {component: {type: "application", name: "ferrocni", version: $version, "bom-ref": "ferrocni",
                                  licenses: [{expression: "Apache-2.0"}]}},
           components: ([.[] | {
               type: "library", name, version, "bom-ref": "pkg:cargo/\(.name)@\(.version)", purl: "pkg:cargo/\(.name)@\(.version)",
               licenses: [{expression: (.license | gsub("/"; " OR "))}],
               hashes: [{alg: "SHA-256", content: $checksum["\(.name) \(.version)"]}]}]
               + [{type: "library", name: "std", version: $rust, "bom-ref": "rust-std",
                   licenses: [{expression: "MIT OR Apache-2.0"}]}]),
           dependencies: [{ref: "ferrocni", dependsOn: ([.[] | "pkg:cargo/\(.name)@\(.version)"] + ["rust-std"])}]}'
}

licences() {
    local list
    list=$(crates)
    echo "Linked into the programs, under the licences whose texts follow:"
    echo
    jq -r '.[] | "  \(.name) \(.version): \(.license)"' <<<"$list"
    echo "  Rust's standard library: MIT OR Apache-2.0"
    case $CARGO_BUILD_TARGET in *-musl) echo "  musl libc, Copyright © 2005-2020 Rich Felker and others: MIT" ;; esac
    jq -r '.[].manifest_path' <<<"$list" | texts
}

# The same text is there once, below the crates that have it.
texts() {
    local manifest file sum
    declare -A crates_of=() file_of=()
    while read -r manifest; do
        for file in "$(dirname "$manifest")"/{LICEN[CS]E,COPYING,COPYRIGHT,NOTICE,UNLICENSE}*; do
            [ -f "$file" ] || continue
            sum=$(sha256sum <"$file")
            file_of[$sum]=$file
            crates_of[$sum]+=" $(basename "$(dirname "$manifest")")"
        done
    done
    for sum in "${!file_of[@]}"; do echo "${crates_of[$sum]}|${file_of[$sum]}"; done | sort | while IFS='|' read -r crates file; do
        printf '\n%s\n%s:\n\n' "----------------------------------------------------------------------" "$(fold -s -w 120 <<<"${crates# }")"
        cat "$file"
    done
}

case ${1-} in
    sbom) sbom ;;
    licences) licences ;;
    *) echo "usage: linked.sh sbom|licences" >&2; exit 2 ;;
esac

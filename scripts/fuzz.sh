#!/usr/bin/env bash
# Has a fuzzer that follows the program's branches (libFuzzer) look for queries, answers and streams that ferrocni-dns does not stand,
# each for SECONDS (10). It starts from apps/ferrocni-dns/corpus, and leaves there what has made it fail.
# No nightly toolchain is needed: the compiler's coverage pass is switched on as cargo fuzz does it, without a sanitizer.
#
#   scripts/fuzz.sh [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
corpus=$PWD/apps/ferrocni-dns/corpus
# The fuzzer's runtime is C++, for the machine's own C library.
host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}
[[ $target = /* ]] || target=$PWD/$target
export CARGO_TARGET_DIR=$target/fuzz
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
cargo build --locked --quiet --target "$host" --manifest-path apps/ferrocni-dns/fuzz/Cargo.toml
found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
for target in queries answers streams; do
    mkdir "$found/$target"
    # What it finds of interest goes into the first folder; the second is read.
    "$CARGO_TARGET_DIR/$host/debug/$target" -max_total_time="$seconds" -max_len=4096 -timeout=5 -print_final_stats=1 \
        -verbosity=0 -artifact_prefix="$corpus/$target/found-" "$found/$target" "$corpus/$target" 2>"$found/$target.log" ||
        { cat "$found/$target.log" >&2; exit 1; }
    executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$found/$target.log")
    echo "fuzz.sh: $target: ${executed:-0} inputs in $seconds s, none of which fails"
done

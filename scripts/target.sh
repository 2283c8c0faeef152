#!/usr/bin/env bash
# Prints the target that ferrocni is built for, and fetches its standard library if the Rust toolchain lacks it.
#
#   CARGO_BUILD_TARGET=$(scripts/target.sh) cargo build --release
#
# It is this machine's processor with musl: a static program starts sooner with that than with glibc, which asks the
# processor about its caches first (0.3 ms in a virtual machine), and is two thirds as large. Where there is none: glibc.
# A CARGO_BUILD_TARGET that is set already stays.
set -euo pipefail

has() { [ -d "$(rustc --print target-libdir --target "$1" 2>/dev/null)" ]; }
fetch() { timeout 120 rustup target add "$1" >/dev/null 2>&1; }

host=$(rustc -vV | sed -n 's/^host: //p')
musl=${host%-*}-musl
if [ -n "${CARGO_BUILD_TARGET-}" ]; then
    echo "$CARGO_BUILD_TARGET"
elif has "$musl" || fetch "$musl"; then
    echo "$musl"
else
    echo "target.sh: no standard library for $musl here, and rustup brings none: building for $host" >&2
    echo "$host"
fi

#!/usr/bin/env bash
# Puts every ferrocni program into DIR (default /opt/cni/bin), building them first if the sources are newer.
# Each file is replaced by a rename: a runtime that starts one at that moment gets the old or the new, never half of one.
set -euo pipefail
die() { echo "install.sh: $*" >&2; exit 1; }

dir=${1:-/opt/cni/bin}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
command -v cargo >/dev/null || die "no Rust toolchain: install one from https://rustup.rs, then run this again"
mkdir -p "$dir" 2>/dev/null && [ -w "$dir" ] || die "cannot write to $dir: run this as root, or name another directory"

cd "$root"
# A folder with a main.rs is a program of that name.
programs=$(for main in plugins/*/src/main.rs ipam/*/src/main.rs; do basename "${main%/src/main.rs}"; done)
CARGO_BUILD_TARGET=$(scripts/target.sh)
export CARGO_BUILD_TARGET
cargo build --release --bins --quiet
built=${CARGO_TARGET_DIR:-$root/target}/$CARGO_BUILD_TARGET/release

for program in $programs; do
    install -m 0755 "$built/$program" "$dir/.$program.ferrocni-new"
    mv -f "$dir/.$program.ferrocni-new" "$dir/$program"
done
echo "installed in $dir: $(echo $programs)"

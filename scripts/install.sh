#!/usr/bin/env bash
# Puts every ferrocni plugin into DIR (default /opt/cni/bin), and the commands into BIN, building them first if the sources are newer.
# Without arguments BIN is /usr/local/bin, Podman's network program goes to /usr/local/libexec/ferrocni, and the command's manual and
# completions go where they are looked for, as do the systemd units, none of which is enabled; with DIR alone it is DIR.
# Each file is replaced by a rename: a runtime that starts one at that moment gets the old or the new, never half of one.
#
#   scripts/install.sh [DIR [BIN]]
set -euo pipefail
die() { echo "install.sh: $*" >&2; exit 1; }

dir=${1:-/opt/cni/bin}
bin=${2:-${1:-/usr/local/bin}}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
command -v cargo >/dev/null || die "no Rust toolchain: install one from https://rustup.rs, then run this again"
for folder in "$dir" "$bin"; do
    mkdir -p "$folder" 2>/dev/null && [ -w "$folder" ] ||
        die "cannot write to $folder: run this as root, or name another directory"
done

cd "$root"
# A folder with a main.rs is a program of that name.
names() { for main in "$@"; do basename "${main%/src/main.rs}"; done; }
plugins=$(names plugins/*/src/main.rs ipam/*/src/main.rs)
commands=$(names apps/*/src/main.rs)
# It has the name of the program that it stands for, so nobody finds it who has not been told where it is.
[ $# -gt 0 ] || commands=${commands/netavark/}
CARGO_BUILD_TARGET=$(scripts/target.sh)
export CARGO_BUILD_TARGET
scripts/needs.sh
cargo build --release --bins --quiet
built=${CARGO_TARGET_DIR:-$root/target}/$CARGO_BUILD_TARGET/release

put() { # FOLDER PROGRAM...
    local folder=$1 program
    for program in "${@:2}"; do
        install -m 0755 "$built/$program" "$folder/.$program.ferrocni-new"
        mv -f "$folder/.$program.ferrocni-new" "$folder/$program"
    done
    echo "installed in $folder: ${*:2}"
}
# shellcheck disable=SC2086 # names without spaces
put "$dir" $plugins
# shellcheck disable=SC2086
put "$bin" $commands
if [ $# = 0 ]; then
    helpers=/usr/local/libexec/ferrocni
    mkdir -p "$helpers"
    put "$helpers" netavark
    scripts/podman-links.sh "$helpers"
    "$bin/ferrocni" man /usr/local/share/man/man1
    completions=/usr/local/share/bash-completion/completions
    mkdir -p "$completions"
    "$bin/ferrocni" completion bash >"$completions/ferrocni"
    scripts/units.sh install
fi

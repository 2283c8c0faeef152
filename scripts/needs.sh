#!/usr/bin/env bash
# Sees that there is what building takes beside a Rust toolchain: protoc with the definitions that come with it, and a C compiler for
# the target, both for the client of etcd in ferrocni-overlay. Installs what is missing, where there is apt-get.
#
#   scripts/needs.sh
set -euo pipefail

missing=()
command -v protoc >/dev/null || missing+=(protobuf-compiler)
include=$(dirname "$(dirname "$(command -v protoc || echo /usr/bin/protoc)")")/include
[ -e "$include/google/protobuf/descriptor.proto" ] || missing+=(libprotobuf-dev)
target=$("$(dirname "$0")/target.sh")
case $target in
    *-musl)
        compiler=${target%%-*}-linux-musl-gcc
        command -v "$compiler" >/dev/null || command -v musl-gcc >/dev/null || missing+=(musl-tools)
        ;;
    *) command -v cc >/dev/null || missing+=(gcc) ;;
esac
[ ${#missing[@]} -gt 0 ] || exit 0
if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
    echo "needs.sh: install what these packages of Debian have, then run this again: ${missing[*]}" >&2
    exit 1
fi
echo "needs.sh: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update >/dev/null
apt-get install --yes --no-install-recommends "${missing[@]}" >/dev/null

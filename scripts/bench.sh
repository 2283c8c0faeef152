#!/usr/bin/env bash
# Measures ferrocni against the Go reference suite (Debian's containernetworking-plugins), names against dnsmasq and aardvark-dns,
# the command alone, networks over many hosts against a bare VXLAN, and netavark against Debian 13's, and prints a table of each.
# Everything happens on throw-away hosts: this machine's links, rules and sysctls are not touched.
# Words after the script's name go to the benchmark; --help lists them.
set -euo pipefail
die() { echo "bench.sh: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "the benchmark makes network namespaces: run this as root"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
command -v cargo >/dev/null || die "no Rust toolchain: install one from https://rustup.rs, then run this again"

missing=()
for package in aardvark-dns containernetworking-plugins dnsmasq-base etcd-server golang-github-containernetworking-plugin-dnsname iperf3 iproute2 iptables nftables socat strace; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "installing ${missing[*]}" >&2
    (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}") \
        >/dev/null || die "apt could not install ${missing[*]}"
fi

cd "$root"
CARGO_BUILD_TARGET=$(scripts/target.sh)
export CARGO_BUILD_TARGET
cargo build --release --bins --quiet
bench=${CARGO_TARGET_DIR:-$root/target}/$CARGO_BUILD_TARGET/release/bench
[[ " $* " != *" --help "* && " $* " != *" -h "* ]] || exec "$bench" --help
"$bench" "$@"
"$bench" --names "$@"
"$bench" --command "$@"
"$bench" --overlay "$@"

scripts/test.sh --clients
"$bench" --netavark "${CARGO_TARGET_DIR:-$root/target}/clients/debian-13/usr" "$@"

# Not every kernel has ipvlan; both sides run in the virtual machine then, so the ratio counts and the times do not.
if unshare --net sh -c 'ip link add p type veth peer name o && ip link add i link p type ipvlan' 2>/dev/null; then
    exec "$bench" --ipvlan "$@"
fi
echo "bench.sh: this kernel has no ipvlan: measuring it in a virtual machine" >&2
exec scripts/vm-run.sh "$bench" --ipvlan "$@"

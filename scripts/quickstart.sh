#!/usr/bin/env bash
# Shows ferrocni at work on this machine: containers on a bridge network reach each other and the host, and one of them serves a
# page through a published port. Everything it makes is removed again, also when it fails.
#
# CNI_BIN_DIR=DIR uses the programs in DIR instead of building them.
set -euo pipefail
die() { echo "quickstart.sh: $*" >&2; exit 1; }
say() { printf '%-34s %s\n' "$1" "$2"; }

[ "$(id -u)" = 0 ] || die "it makes network namespaces and links: run this as root"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

declare -A package_of=([ip]=iproute2 [nft]=nftables [ping]=iputils-ping [busybox]=busybox-static)
missing=()
for program in "${!package_of[@]}"; do
    command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
if [ -z "${CNI_BIN_DIR:-}" ]; then
    command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
    command -v cargo >/dev/null || die "no Rust toolchain: install one from https://rustup.rs, then run this again"
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
fi
if [ ${#missing[@]} -gt 0 ]; then
    say "installing" "${missing[*]}"
    (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}") \
        >/dev/null 2>&1 || die "apt could not install ${missing[*]}"
fi

work=$(mktemp -d)
bin=${CNI_BIN_DIR:-$work/bin}
if [ -z "${CNI_BIN_DIR:-}" ]; then
    say "building" "the first time this takes 5 to 20 minutes and 700 MB"
    "$root/scripts/install.sh" "$bin" >/dev/null
    say "built" "$(find "$bin" -type f | wc -l) programs"
fi

# Other programs on this machine do not see the network: it is in a folder of its own.
export NETCONFPATH=$work/net.d CNI_PATH=$bin
PATH=$bin:$PATH
network=quickstart
container=
forwarding=$(cat /proc/sys/net/ipv4/ip_forward)
tables=$(nft list tables)
clean_up() {
    trap - EXIT
    trap '' INT TERM
    [ -z "$container" ] || ferrocni stop --time 1 "$container" >/dev/null 2>&1 || true
    ferrocni network rm --force $network >/dev/null || true
    # The tables stay with the node otherwise: they are constant, and empty without containers.
    grep -q "table inet ferrocni" <<<"$tables" || ferrocni uninstall >/dev/null || true
    echo "$forwarding" >/proc/sys/net/ipv4/ip_forward
    rm -rf "$work"
}
trap clean_up EXIT

ferrocni network create --subnet 10.210.253.0/24 $network >/dev/null
say "ferrocni network create" "$(ferrocni network ls --filter name=$network --format '{{.Name}} ({{.Driver}})')"

mkdir "$work/page"
echo "hello from container web" >"$work/page/index.html"
container=$(ferrocni run -d --name web --network $network -p 18080:80 busybox httpd -f -p 80 -h "$work/page")
say "ferrocni run -d --name web" "$(ferrocni ps --filter id="$container" --format '{{.Names}} runs {{.Command}}, {{.Ports}}')"

# In another container, which knows web by its name and the host as "gate".
client() { ferrocni run --network $network --link web --add-host gate:host-gateway "$@"; }
page() { timeout 5 busybox wget -q -O - "$1"; }
expect() { # WHAT COMMAND...
    local text
    text=$("${@:2}") || die "$1: no answer"
    say "$1" "$text"
}
for _ in {1..50}; do ! page "http://127.0.0.1:18080/" >/dev/null 2>&1 || break; done
client ping -q -c 1 -W 5 web >/dev/null || die "a container does not reach web"
say "a container pings web" "by its name"
client ping -q -c 1 -W 5 gate >/dev/null || die "a container does not reach the host"
say "a container pings the host" "by its gateway"
expect "a container fetches web's page" client busybox wget -q -O - http://web/
expect "the host fetches 127.0.0.1:18080" page http://127.0.0.1:18080/
expect "a container fetches host:18080" client busybox wget -q -O - http://gate:18080/
ferrocni topology $network
clean_up
say "everything is removed" "$(ip -o link show 2>/dev/null | grep -c 'alias ferrocni:' || true) links and \
$(find /run/netns -name 'ferrocni-*' 2>/dev/null | wc -l) namespaces left"

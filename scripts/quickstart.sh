#!/usr/bin/env bash
# Shows ferrocni at work on this machine: two containers on a bridge network reach each other and the host, and one of
# them serves a page through a published port. Everything it makes is removed again, also when it fails.
#
# CNI_BIN_DIR=DIR uses the plugins in DIR instead of building them.
set -euo pipefail
die() { echo "quickstart.sh: $*" >&2; exit 1; }
say() { printf '%-34s %s\n' "$1" "$2"; }

[ "$(id -u)" = 0 ] || die "it makes network namespaces and links: run this as root"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

declare -A package_of=([ip]=iproute2 [nft]=nftables [jq]=jq [ping]=iputils-ping [busybox]=busybox-static)
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
    "$root/scripts/install.sh" "$bin" >/dev/null
    say "built" "$(find "$bin" -type f -printf '%f ')"
fi

bridge=ferrocni-quick
network=$(jq --arg bridge "$bridge" --arg dir "$work/addresses" '
    .name = "quickstart" | .plugins[0].bridge = $bridge
    | .plugins[0].ipam = {type: "host-local", dataDir: $dir, ranges: [[{subnet: "10.210.253.0/24"}]]}
    | .plugins[1].runtimeConfig.portMappings = []' "$root/conf/bridge.conflist")

# What a container runtime does: start each plugin of the network, the configuration on stdin, the result of the one before
# inside it. DEL goes through them backwards.
cni() { # VERB CONTAINER PORTS
    local verb=$1 container=$2 ports=${3:-[]} result order plugin config
    result=$(cat "$work/$container" 2>/dev/null || echo null)
    order='.plugins[]'
    [ "$verb" = DEL ] && order='.plugins | reverse[]'
    [ "$verb" = ADD ] && result=null
    while IFS= read -r plugin; do
        config=$(jq -c --argjson network "$network" --argjson previous "$result" --argjson ports "$ports" '
            . + ($network | {name, cniVersion})
            | if $previous then .prevResult = $previous else . end
            | if .runtimeConfig then .runtimeConfig.portMappings = $ports else . end' <<<"$plugin")
        CNI_COMMAND=$verb CNI_CONTAINERID=quickstart-$container CNI_NETNS=/run/netns/quickstart-$container CNI_IFNAME=eth0 \
            CNI_PATH=$bin "$bin/$(jq -r .type <<<"$plugin")" <<<"$config" >"$work/reply" ||
            die "$verb of $container failed: $(cat "$work/reply")"
        [ "$verb" != ADD ] || result=$(cat "$work/reply")
    done < <(jq -c "$order" <<<"$network")
    if [ "$verb" = ADD ]; then echo "$result" >"$work/$container"; fi
}

forwarding=$(cat /proc/sys/net/ipv4/ip_forward)
tables=$(nft list tables)
clean_up() {
    trap - EXIT
    trap '' INT TERM
    [ -z "${server:-}" ] || kill "$server" 2>/dev/null || true
    for container in web client; do
        [ ! -e "/run/netns/quickstart-$container" ] || (cni DEL "$container" "${published:-[]}") || true
        ip netns delete "quickstart-$container" 2>/dev/null || true
    done
    ip link delete "$bridge" 2>/dev/null || true
    # The tables stay with the node otherwise: they are constant, and empty without containers.
    for family in inet bridge; do
        grep -q "table $family ferrocni" <<<"$tables" || nft delete table "$family" ferrocni 2>/dev/null || true
    done
    echo "$forwarding" >/proc/sys/net/ipv4/ip_forward
    rm -rf "$work"
}
trap clean_up EXIT
address() { jq -r '.ips[0].address | split("/")[0]' "$work/$1"; }

published='[{"hostPort": 18080, "containerPort": 80, "protocol": "tcp"}]'
for container in web client; do
    ip netns add "quickstart-$container"
    cni ADD "$container" "$([ $container = web ] && echo "$published" || echo '[]')"
    say "container $container" "has $(address $container) on bridge $bridge"
done
mkdir "$work/page"
echo "hello from container web" >"$work/page/index.html"
ip netns exec quickstart-web busybox httpd -f -p 80 -h "$work/page" &
server=$!

in_client() { ip netns exec quickstart-client "$@"; }
page() { timeout 5 busybox wget -q -O - "$1"; }
export -f page
expect() { # WHAT URL COMMAND...
    local text
    text=$("${@:3}" "$2") || die "$1: no answer from $2"
    say "$1" "$text"
}
for _ in {1..50}; do ! page "http://$(address web)/" >/dev/null 2>&1 || break; done

gateway=$(jq -r '.ips[0].gateway' "$work/client")
in_client ping -q -c 1 -W 5 "$(address web)" >/dev/null || die "client does not reach web"
say "client pings web" "$(address client) -> $(address web)"
in_client ping -q -c 1 -W 5 "$gateway" >/dev/null || die "client does not reach the host"
say "client pings the host" "$(address client) -> $gateway"
expect "client fetches web's page" "http://$(address web)/" in_client bash -c 'page "$0"'
expect "host fetches 127.0.0.1:18080" "http://127.0.0.1:18080/" page
expect "client fetches $gateway:18080" "http://$gateway:18080/" in_client bash -c 'page "$0"'
cni CHECK web "$published"
cni CHECK client
say "CHECK" "both containers are as they were attached"
clean_up
left=$(ip -o link show 2>/dev/null | grep -c "$bridge" || true)
say "DEL, everything removed" "$left links and $(find /run/netns -name 'quickstart-*' 2>/dev/null | wc -l) namespaces left"

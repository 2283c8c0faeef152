#!/usr/bin/env bash
# Shows networks over many hosts on this one: three hosts, which are namespaces with a switch between them, share an etcd. Containers
# on each fetch a page from each other by name, on a plain network and, if the kernel has WireGuard, on an encrypted one. One published
# port answers on all three hosts. One host dies. Everything it makes is removed again, also when it fails; this machine's own network is not touched.
#
# CNI_BIN_DIR=DIR uses the programs in DIR instead of building them.
set -euo pipefail
die() { echo "quickstart-overlay.sh: $*" >&2; exit 1; }
say() { printf '%-40s %s\n' "$1" "$2"; }

[ "$(id -u)" = 0 ] || die "it makes namespaces and links: run this as root"
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

declare -A package_of=([ip]=iproute2 [nft]=nftables [ping]=iputils-ping [busybox]=busybox-static [etcd]=etcd-server
    [etcdctl]=etcd-client [openssl]=openssl [nsenter]=util-linux)
missing=()
for program in "${!package_of[@]}"; do
    command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
if [ ${#missing[@]} -gt 0 ]; then
    say "installing" "${missing[*]}"
    # Debian starts what it installs unless this file says no.
    policy=/usr/sbin/policy-rc.d
    if [ -e $policy ]; then policy=/dev/null; else trap 'rm -f $policy' EXIT; fi
    printf '#!/bin/sh\nexit 101\n' >$policy
    [ $policy = /dev/null ] || chmod +x $policy
    (apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${missing[@]}") \
        >/dev/null 2>&1 || die "apt could not install ${missing[*]}"
    [ $policy = /dev/null ] || rm -f $policy
    trap - EXIT
fi

work=$(mktemp -d)
started=()
clean_up() {
    trap - EXIT
    trap '' INT TERM
    # The first process of a host takes all others of it, its links and its files with it.
    local process
    for process in "${started[@]}"; do kill -KILL "$process" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT

bin=${CNI_BIN_DIR:-$work/bin}
if [ -z "${CNI_BIN_DIR:-}" ]; then
    "$root/scripts/install.sh" "$bin" >/dev/null
    say "built" "$(find "$bin" -type f | wc -l) programs"
fi

# A machine of its own in all that matters here: $1 is what it is called.
declare -A pid=()
machine() {
    local folders="/run /etc/cni /etc/ferrocni /var/lib/cni /var/lib/ferrocni" shell
    shell="hostname $1; mount --make-rprivate /
        for folder in $folders; do mkdir -p \$folder; mount -t tmpfs none \$folder; done
        mount -t proc proc /proc; mount -t sysfs sysfs /sys 2>/dev/null || true
        ip link set lo up; sysctl -qw net.ipv4.ip_forward=1; touch /run/ready; exec sleep infinity"
    unshare --net --mount --pid --uts --ipc --fork --kill-child bash -c "$shell" 2>>"$work/machines.log" &
    started+=($!)
    local child=
    until [ -n "$child" ] && nsenter --target "$child" --mount test -e /run/ready 2>/dev/null; do
        sleep 0.05
        child=$(cat "/proc/$!/task/$!/children" 2>/dev/null | tr -d ' ') || true
    done
    pid[$1]=$child
}
on() { # MACHINE COMMAND...
    nsenter --target "${pid[$1]}" --net --mount --pid --uts --ipc env PATH="$bin:$PATH" CNI_PATH="$bin" "${@:2}"
}
eventually() { # WHAT COMMAND...
    local _ said=
    for _ in {1..200}; do
        said=$("${@:2}" 2>&1) && return
        sleep 0.1
    done
    die "$1: it does not come about: $said"
}

machine switch
on switch ip link add lan type bridge
on switch ip addr add 192.0.2.254/24 dev lan
on switch ip link set lan up
hosts=(one two three)
for number in "${!hosts[@]}"; do
    host=${hosts[$number]}
    machine "$host"
    ip link add "$host" netns "${pid[switch]}" type veth peer name uplink netns "${pid[$host]}"
    on switch ip link set "$host" master lan up
    on "$host" ip addr add "192.0.2.$((number + 1))/24" dev uplink
    on "$host" ip link set uplink up
    on "$host" ip route add default via 192.0.2.254
done
say "three hosts and a switch" "192.0.2.1, 192.0.2.2, 192.0.2.3"

# Certificates: who has one may read and write.
certificate() { # NAME OPTION...
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=$1" \
        -keyout "$work/$1.key" -out "$work/$1.pem" "${@:2}" 2>/dev/null
}
certificate ca -addext basicConstraints=critical,CA:true
certificate host -CA "$work/ca.pem" -CAkey "$work/ca.key" -addext subjectAltName=IP:192.0.2.254 \
    -addext basicConstraints=CA:false
chmod 600 "$work/host.key"
on switch etcd --data-dir /run/etcd --listen-client-urls https://192.0.2.254:2379,http://127.0.0.1:2379 \
    --advertise-client-urls https://192.0.2.254:2379 --listen-peer-urls http://127.0.0.1:2380 --log-level error \
    --client-cert-auth --trusted-ca-file "$work/ca.pem" --cert-file "$work/host.pem" --key-file "$work/host.key" \
    >"$work/etcd.log" 2>&1 &
etcdctl_there() { on switch env ETCDCTL_API=3 etcdctl "$@"; }
eventually "etcd answers" etcdctl_there endpoint health
say "etcd, for those with a certificate" "https://192.0.2.254:2379"

for host in "${hosts[@]}"; do
    cat >"$work/overlay.json" <<EOF
{"endpoints": ["https://192.0.2.254:2379"], "ca": "$work/ca.pem", "certificate": "$work/host.pem", "key": "$work/host.key",
 "underlay": "uplink", "timeToLive": 5}
EOF
    on "$host" cp "$work/overlay.json" /etc/ferrocni/overlay.json
    on "$host" ferrocni-overlay >"$work/$host.log" 2>&1 &
done
for host in "${hosts[@]}"; do
    eventually "the agent of host $host is connected" on "$host" grep -q '"connected": true' /run/ferrocni/overlay/agent.json
done

# A container with a page on each host, and then each fetches from all others.
show() { # NETWORK OPTION...
    local network=$1 host other
    for host in "${hosts[@]}"; do
        on "$host" ferrocni network create -d overlay "${@:2}" "$network" >/dev/null
        mkdir -p "$work/$host"
        echo "hello from host $host" >"$work/$host/index.html"
        on "$host" ferrocni run -d --name "$network-$host" --network "$network" busybox httpd -f -p 80 -h "$work/$host" >/dev/null
    done
    on one ferrocni overlay check "$network" >"$work/check" 2>&1 || die "$(cat "$work/check")"
    say "ferrocni overlay check $network" "$(grep -c ' ok *$' "$work/check") other hosts answer, with the largest packets"
    for host in "${hosts[@]}"; do
        for other in "${hosts[@]}"; do
            eventually "$network: host $host reaches $network-$other by its name" fetch "$host" "$network" "$network-$other"
            say "$network: a container on host $host" "$(fetch "$host" "$network" "$network-$other")"
        done
    done
}
fetch() { on "$1" ferrocni run --network "$2" timeout 5 busybox wget -q -O - "http://$3/"; }

# A container on one host only, and a client that is in none of the networks asks each host for its port.
publish() { # NETWORK PORT
    local number
    on two ferrocni run -d --name "$1-web" --network "$1" -p "$2:80,mode=ingress" busybox httpd -f -p 80 -h "$work/two" >/dev/null
    for number in 1 2 3; do
        eventually "$1: 192.0.2.$number answers port $2" ask "192.0.2.$number:$2"
        say "$1: port $2 of 192.0.2.$number" "$(ask "192.0.2.$number:$2")"
    done
}
ask() { on switch timeout 5 busybox wget -q -O - "http://$1/"; }

show plain
publish plain 8080
has_wireguard() { on switch ip link add wireguard type wireguard 2>/dev/null; }
if has_wireguard; then
    show encrypted --opt encrypted
    publish encrypted 8081
else
    say "an encrypted network" "is left out: this kernel has no WireGuard"
fi
on one ferrocni overlay host ls

kill -KILL "${pid[three]}"
is_forgotten() { ! on one ferrocni run --network plain busybox nslookup plain-three 2>/dev/null | grep -q '10\.128\.'; }
eventually "the names of a dead host are forgotten" is_forgotten
say "host three is dead" "its containers' names are forgotten"
say "and the others go on" "$(fetch one plain plain-two)"
say "port 8080 of 192.0.2.1" "$(ask 192.0.2.1:8080)"
eventually "host three is removed" on one ferrocni overlay host rm three
say "ferrocni overlay host rm three" "its addresses are free"

clean_up
say "everything is removed" "three hosts, a switch, and etcd are gone"

#!/usr/bin/env bash
# Removes what ferrocni left on this host once its containers are gone: first what lets the host's loopback addresses reach
# published ports, on the links that lead to containers, and only then the tables, whose filter keeps neighbours from using it.
# The systemd units that install.sh has installed go before all that; names, and what answers for them, go too. Other files are left alone: the programs, and the reservations of
# addresses.
set -euo pipefail
die() { echo "uninstall.sh: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "run this as root"
command -v ip >/dev/null || die "no ip: install iproute2"
command -v nft >/dev/null || die "no nft: install nftables"

"$(dirname "${BASH_SOURCE[0]}")/units.sh" remove

names() { sed 's/^[0-9]*: \([^:@]*\).*/\1/'; }

# What ferrocni labels is its own. A bridge is not labelled: it may be ours if one of its ports is, or if it has none any more.
labelled() { ip -o link show | grep 'alias ferrocni:' | names; }
bridges() {
    ip -o link show type bridge | names | while read -r bridge; do
        ports=$(ip -o link show master "$bridge")
        if [ -z "$ports" ] || grep -q 'alias ferrocni:' <<<"$ports"; then echo "$bridge"; fi
    done
}
vlans() { ip -o link show type vlan | grep "alias the host's gateway in VLAN" | names; }

# An earlier version also opened uplinks; a local route to ::1 at this metric marks those, and nobody else makes one.
behind_lo=4096
marked() { ip -6 route show table local ::1 2>/dev/null | sed -n "s/.* dev \([^ ]*\) .*metric $behind_lo .*/\1/p"; }

{ labelled || true; bridges; vlans || true; marked; } | sort -u | while read -r link; do
    sysctl=/proc/sys/net/ipv4/conf/$link/route_localnet
    if [ -e "$sysctl" ] && [ "$(cat "$sysctl")" = 1 ]; then
        echo 0 >"$sysctl"
        echo "route_localnet of $link is off"
    fi
    while ip -6 route del local ::1 dev "$link" table local metric "$behind_lo" 2>/dev/null; do
        echo "the route to ::1 on $link is gone"
    done
done

# Names: the rules in the containers that lead to the server, the records, and the server that no systemd has started.
for record in /run/ferrocni/names/*; do
    [ -e "$record" ] || continue
    namespace=$(sed -n 's/.*"path":"\([^"]*\)".*/\1/p' "$record")
    nsenter --net="$namespace" nft delete table ip ferrocni_dns 2>/dev/null || true
    rm -f "$record"
    echo "names of ${record##*/} are removed"
done
for pid in $(pgrep -x ferrocni-dns || true); do
    # Not that of a container with a network and a process namespace of its own.
    if [ "$(readlink "/proc/$pid/ns/mnt")" = "$(readlink /proc/$$/ns/mnt)" ]; then
        kill "$pid"
        while [ -e "/proc/$pid/ns/net" ]; do sleep 0.01; done
        echo "the DNS server is stopped"
    fi
done
rm -f /run/ferrocni/dns.{sock,start,lock,log}

tables=$(nft list tables)
for family in inet bridge; do
    if grep -qx "table $family ferrocni" <<<"$tables"; then
        nft delete table "$family" ferrocni
        echo "table $family ferrocni is gone"
    fi
done

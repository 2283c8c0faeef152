#!/usr/bin/env bash
# Measures the command `ferrocni` on a throw-away host: how long a list of networks takes, what `run` adds to a program's own start,
# and what reload and topology take with many attachments. Medians, in milliseconds. This machine's network stays as it is.
#
#   scripts/bench-command.sh [ATTACHMENTS]
set -euo pipefail
die() { echo "bench-command.sh: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die "it makes network namespaces: run this as root"
if [ -z "${INSIDE-}" ]; then
    root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
    command -v cargo >/dev/null || PATH=$PATH:$HOME/.cargo/bin
    bin=$(mktemp -d /var/tmp/ferrocni-bench.XXXXXX)
    trap 'rm -rf "$bin"' EXIT
    "$root/scripts/install.sh" "$bin" >/dev/null
    INSIDE=$bin unshare --net --mount --pid --fork --mount-proc "${BASH_SOURCE[0]}" "$@"
    exit
fi

export CNI_PATH=$INSIDE
PATH=$INSIDE:$PATH
count=${1:-1000}
for folder in /run /etc/cni /var/lib/cni; do
    mkdir -p $folder
    mount -t tmpfs none $folder
done
ip link set lo up

now() { date +%s%N; }
median() { sort -n | awk '{ all[NR] = $1 } END { printf "%.1f\n", all[int((NR + 1) / 2)] / 1e6 }'; }
# How long a command takes, over and over.
times() { # ROUNDS COMMAND...
    local round start
    for ((round = 0; round < $1; round++)); do
        start=$(now)
        "${@:2}" >/dev/null
        echo $(($(now) - start))
    done
}
row() { printf '%-58s %8s ms\n' "$1" "$2"; }

own=$(times 50 true | median)
for ((i = 0; i < 100; i++)); do ferrocni network create "net$i" >/dev/null; done
row "network ls, 100 networks (clock: $own ms)" "$(times 50 ferrocni network ls | median)"

# From the command's start to the program's.
starts() { # COMMAND...
    local round start
    for ((round = 0; round < 40; round++)); do
        start=$(now)
        echo $(($("$@") - start))
    done
}
row "a program's own start" "$(starts date +%s%N | median)"
row "the same under run, --network none" "$(starts ferrocni run --network none date +%s%N | median)"
row "the same on a bridge network" "$(starts ferrocni run --network net0 date +%s%N | median)"
row "the same with a published port" "$(starts ferrocni run --network net0 -p 8080:80 date +%s%N | median)"

for ((i = 0; i < count; i++)); do
    ip netns add "c$i"
    ferrocni network connect net1 "/run/netns/c$i"
done
flushed() {
    local start
    nft flush ruleset
    start=$(now)
    ferrocni reload >/dev/null
    echo $(($(now) - start))
}
row "reload after a flush, $count attachments" "$(for _ in {1..10}; do flushed; done | median)"
for format in tree svg; do
    row "topology --format $format, $count attachments" "$(times 10 ferrocni topology --format $format | median)"
done
row "metrics, $count attachments" "$(times 10 ferrocni metrics | median)"

#!/usr/bin/env bash
# Makes the links that Podman 5 looks for, in FOLDER, where `netavark` is: the name server, which it calls aardvark-dns, and the drivers
# that it has not got itself. The other commands are in ../../bin.
#
#   scripts/podman-links.sh FOLDER
set -euo pipefail
folder=${1:?usage: podman-links.sh FOLDER}
plugins=$(cd "$(dirname "${BASH_SOURCE[0]}")/../plugins" && ls)

ln -sfn ../../bin/ferrocni-dns "$folder/ferrocni-dns"
ln -sfn ferrocni-dns "$folder/aardvark-dns"
mkdir -p "$folder/drivers"
# Two of netavark's own, and CNI plugins.
for driver in macvlan-trunk ipvlan-trunk $(grep -x -e ptp -e tap -e overlay <<<"$plugins"); do
    ln -sfn ../netavark "$folder/drivers/$driver"
done

#!/bin/sh
# Installs ferrocni from this folder: the plugins into DIR (default /opt/cni/bin), where what they replace is kept aside, and the
# rest below PREFIX (default /usr/local). No unit is enabled or started.
#
#   ./install.sh [DIR [PREFIX]]
#   ferrocni install --undo DIR      brings back the plugins that were replaced
set -eu
dir=${1:-/opt/cni/bin}
prefix=${2:-/usr/local}
here=$(cd "$(dirname "$0")" && pwd)

mkdir -p "$prefix/bin" "$prefix/share" "$prefix/libexec"
"$here/usr/bin/ferrocni" install --from "$here/usr/lib/cni" "$dir"
"$here/usr/bin/ferrocni" install --from "$here/usr/bin" "$prefix/bin"
cp -R "$here/usr/share/." "$prefix/share/"
cp -R "$here/usr/libexec/." "$prefix/libexec/"
if [ -d /run/systemd/system ]; then
    mkdir -p "$prefix/lib/systemd/system"
    for unit in "$here"/usr/lib/systemd/system/*; do
        sed "s:/usr/bin/:$prefix/bin/:; s:/usr/lib/cni/:$dir/:" "$unit" >"$prefix/lib/systemd/system/${unit##*/}"
    done
    systemctl daemon-reload
fi

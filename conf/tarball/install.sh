#!/bin/sh
# Installs ferrocni from this folder: the plugins into DIR (default /opt/cni/bin), where what they replace is kept aside, and the
# rest below PREFIX (default /usr/local). No unit is enabled or started.
#
#   ./install.sh [DIR [PREFIX]]
#   ./install.sh --remove [DIR [PREFIX]]    takes all of it away, once no container is connected, and brings back what was replaced
set -eu
action=install
if [ "${1-}" = --remove ]; then action=remove; shift; fi
dir=${1:-/opt/cni/bin}
prefix=${2:-/usr/local}
here=$(cd "$(dirname "$0")" && pwd)
ferrocni=$here/usr/bin/ferrocni
units=$prefix/lib/systemd/system

install_all() {
    mkdir -p "$prefix/bin" "$prefix/share" "$prefix/libexec"
    "$ferrocni" install --from "$here/usr/lib/cni" "$dir"
    "$ferrocni" install --from "$here/usr/bin" "$prefix/bin"
    cp -R "$here/usr/share/." "$prefix/share/"
    cp -R "$here/usr/libexec/." "$prefix/libexec/"
    [ -d /run/systemd/system ] || return 0
    mkdir -p "$units"
    for unit in "$here"/usr/lib/systemd/system/*; do
        sed "s:/usr/bin/:$prefix/bin/:; s:/usr/lib/cni/:$dir/:" "$unit" >"$units/${unit##*/}"
    done
    systemctl daemon-reload
}

remove_all() {
    "$ferrocni" uninstall
    "$ferrocni" install --undo "$dir"
    "$ferrocni" install --undo "$prefix/bin"
    for part in share libexec; do
        (cd "$here/usr/$part" && find . -depth) | while read -r path; do
            if [ -d "$here/usr/$part/$path" ] && [ ! -L "$here/usr/$part/$path" ]; then
                rmdir "$prefix/$part/$path" 2>/dev/null || true
            else
                rm -f "$prefix/$part/$path"
            fi
        done
    done
    rmdir "$dir" "$prefix/bin" "$prefix/share" "$prefix/libexec" 2>/dev/null || true
    [ -d /run/systemd/system ] || return 0
    for unit in "$here"/usr/lib/systemd/system/*; do rm -f "$units/${unit##*/}"; done
    systemctl daemon-reload
}

"${action}_all"

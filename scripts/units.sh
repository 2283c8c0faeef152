#!/usr/bin/env bash
# Puts the systemd units of conf/systemd/ where systemd looks for units of software that no package has installed, or takes them away
# again. Where systemd does not run, nothing is done. No unit is enabled or started: `systemctl enable --now UNIT` does that for the
# one that you want.
#
#   scripts/units.sh install|remove
set -euo pipefail
die() { echo "units.sh: $*" >&2; exit 1; }

folder=/usr/local/lib/systemd/system
units=$(cd "$(dirname "${BASH_SOURCE[0]}")/../conf/systemd" && pwd)
[ -d /run/systemd/system ] || exit 0

install_units() {
    mkdir -p "$folder"
    install -m 0644 -t "$folder" "$units"/*
    systemctl daemon-reload
    echo "installed in $folder, and not enabled: $(ls "$units" | xargs)"
}

# Those that run would put back what is removed after this.
remove_units() {
    local unit removed=()
    for unit in "$units"/*; do
        unit=${unit##*/}
        if [ -e "$folder/$unit" ]; then removed+=("$unit"); fi
    done
    [ ${#removed[@]} -gt 0 ] || return 0
    systemctl --quiet disable --now "${removed[@]}"
    for unit in "${removed[@]}"; do rm "$folder/$unit"; done
    systemctl daemon-reload
    echo "removed from $folder: ${removed[*]}"
}

case ${1-} in
    install) install_units ;;
    remove) remove_units ;;
    *) die "usage: units.sh install|remove" ;;
esac

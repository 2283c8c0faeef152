#!/usr/bin/env bash
# Runs a command in a virtual machine whose kernel has what this machine's may lack: ipvlan, VLANs, VRFs, ...
#
#   scripts/vm-run.sh COMMAND [ARGUMENT...]
#
# The command finds this machine's files, below a file system in memory that takes what it writes: nothing
# that it does stays. It has the working directory, environment, outputs and exit status that it would have
# here, but an empty standard input and no network. The kernel is Debian's, downloaded once and kept in
# cargo's target directory. The processor is emulated, so no machine needs to be able to virtualise: a boot
# takes three seconds, programs run about ten times slower than here, and start thirty times slower.
#
#   VM_RUN_TIMEOUT=60 scripts/vm-run.sh ...      the seconds it may take with the boot; 2400 if not given
#
# Exit status: the command's; 124 if its time was over; 125 if there was no virtual machine to run it in.
set -euo pipefail

TIMEOUT=${VM_RUN_TIMEOUT:-2400}
PACKAGES=(qemu-system-x86 qemu-system-common busybox-static cpio kmod)
KERNEL=linux-image-cloud-amd64
VIRTIOFSD=/usr/lib/qemu/virtiofsd

SCRIPT=$(realpath "${BASH_SOURCE[0]}")
ROOT=${SCRIPT%/*/*}
TARGET=$(cd "$ROOT" && realpath --canonicalize-missing "${CARGO_TARGET_DIR:-target}")
# The kernel's package, unpacked: boot/vmlinuz-*, lib/modules/*.
UNPACKED=$TARGET/vm/$KERNEL
# In memory, and nobody else's: see `in_namespaces`.
WORK=/run/vm

fail() {
    fail_with 125 "$@"
}

fail_with() {
    echo "vm-run.sh: ${*:2}" >&2
    exit "$1"
}

# Says nothing unless it fails.
quietly() {
    local output
    output=$("$@" 2>&1) || fail "$* failed: $output"
}

# ---- what the virtual machine is made of ----

require_suitable_machine() {
    [ "$(id -u)" = 0 ] || fail "the virtual machine gets to see all files: run this as root"
    [ "$(uname -m)" = x86_64 ] || fail "the virtual machine is an x86-64 one, it cannot run $(uname -m) programs"
}

# Whoever comes second waits for the first. The kernel is not installed.
prepare() {
    mkdir -p "$TARGET/vm"
    exec {lock}>"$TARGET/vm/lock"
    flock "$lock"
    install_packages
    [ -d "$UNPACKED" ] || download_kernel
    exec {lock}>&-
}

install_packages() {
    local missing=() package
    for package in "${PACKAGES[@]}"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "install these by hand, there is no apt-get here: ${missing[*]}"
    echo "vm-run.sh: installing ${missing[*]}" >&2
    quietly apt-get update
    DEBIAN_FRONTEND=noninteractive quietly apt-get install --yes --no-install-recommends "${missing[@]}"
}

# The package of that name only depends on the newest kernel's.
download_kernel() {
    command -v apt-get >/dev/null || fail "the kernel comes from Debian's $KERNEL, and there is no apt-get here"
    echo "vm-run.sh: downloading $KERNEL" >&2
    quietly apt-get update
    local work=$TARGET/vm/unpacking package
    rm -rf "$work"
    mkdir "$work"
    package=$(apt-cache depends "$KERNEL" | sed -n 's/^ *Depends: //p')
    (cd "$work" && quietly apt-get -o APT::Sandbox::User=root download "${package:?of the kernel}")
    quietly dpkg-deb --extract "$work"/*.deb "$work"
    rm "$work"/*.deb
    quietly depmod --basedir "$work" "$(ls "$work/lib/modules")"
    mv "$work" "$UNPACKED"
}

# ---- running it ----

# Everything happens in a mount and a PID namespace: what is mounted goes with the last process, and all
# processes go with the first one, which goes with this script, whatever that is killed by.
in_namespaces() {
    setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc \
        "$SCRIPT" --in-namespaces "$@" </dev/null &
    # The shell obeys at once while it waits for a child in the background.
    trap 'kill -KILL $!; exit 130' INT
    trap 'kill -KILL $!; exit 143' HUP TERM
    wait $!
}

# Boots, and returns the command's exit status.
boot() {
    mount -t tmpfs -o mode=700 tmpfs /run
    mkdir $WORK
    make_initramfs "$@"
    machine
    share_files
    # Qemu drops what it cannot write at once when the machine goes off. A file takes everything at once; a pipe,
    # which can be full, does not.
    : | tee $WORK/stdout >$WORK/stderr
    local status=0 qemu copies=()
    timeout --foreground --kill-after=5 "$TIMEOUT" qemu-system-x86_64 "${MACHINE[@]}" >$WORK/qemu.log 2>&1 &
    qemu=$!
    follow $WORK/stdout &
    copies+=($!)
    follow $WORK/stderr >&2 &
    copies+=($!)
    wait $qemu || status=$?
    wait "${copies[@]}"
    [ $status != 124 ] || fail_with 124 "$TIMEOUT s are over (VM_RUN_TIMEOUT): $*"
    [ -s $WORK/status ] || fail "the virtual machine ended (qemu: $status) before the command: $(cat $WORK/*.log)"
    return "$(<$WORK/status)"
}

# Copies the file as it grows, until the machine is off, and then the rest.
follow() {
    exec tail --quiet --bytes=+1 --follow --sleep-interval=0.1 --pid=$qemu "$1"
}

# One processor: of two, each in a thread of its own, one may run an instruction for ever that the other one had the kernel
# patch meanwhile (a jump label, say, when the first netfilter hook comes or the last one goes).
# A kernel that panics reboots at once, which ends it. It must not take a busy machine for a broken timer.
# Programs that are always at the same addresses save a quarter of the time: the emulator does not have to
# translate them again.
machine() {
    MACHINE=(-nodefaults -no-user-config -display none -no-reboot
        -accel tcg -cpu max -smp 1
        -m 2G -machine pc,memory-backend=memory -object memory-backend-memfd,id=memory,size=2G,share=on
        -kernel "$UNPACKED"/boot/vmlinuz-* -initrd $WORK/initramfs
        -append "console=ttyS0 quiet panic=-1 no_timer_check norandmaps" -serial file:$WORK/console.log
        -device virtio-serial-pci)
    local port number=0
    for port in stdout stderr status; do
        MACHINE+=(-chardev file,id=$port,path=$WORK/$port -device virtserialport,nr=$((++number)),chardev=$port)
    done
    MACHINE+=(-chardev socket,id=files,path=$WORK/virtiofsd -device vhost-user-fs-pci,chardev=files,tag=files)
}

share_files() {
    $VIRTIOFSD --socket-path=$WORK/virtiofsd -o source=/ -o cache=always -o sandbox=chroot -o log_level=err \
        >$WORK/virtiofsd.log 2>&1 &
    until [ -S $WORK/virtiofsd ]; do
        kill -0 $! 2>/dev/null || fail "virtiofsd ended: $(<$WORK/virtiofsd.log)"
        sleep 0.02
    done
}

# With the modules that it takes to get at the files and to answer; the kernel loads others by itself.
make_initramfs() {
    local root=$WORK/initramfs.d
    mkdir -p $root/bin $root/proc $root/files $root/memory $root/machine
    cp "$(command -v busybox)" $root/bin/busybox
    needed_modules >$WORK/modules
    xargs --delimiter='\n' cp --target-directory=$root <$WORK/modules
    {
        echo '#!/bin/busybox sh'
        # Without /proc, busybox does not find itself.
        echo '/bin/busybox mount -t proc proc /proc'
        sed 's|.*/|insmod /|' $WORK/modules
        declare -f start
        printf 'start %q' "$UNPACKED/lib/modules"
    } >$root/init
    {
        declare -f run_command kill_all_but
        printf 'run_command'
        printf ' %q' "$PWD" "$@"
    } >$root/run_command
    env --null >$root/environment
    chmod +x $root/init
    (cd $root && find . | cpio --quiet --create --format=newc) >$WORK/initramfs
}

needed_modules() {
    local module
    for module in virtio_pci virtiofs overlay virtio_console; do
        modprobe --dirname "$UNPACKED" --set-version "$(ls "$UNPACKED/lib/modules")" --show-depends "$module"
    done | sed -n 's/^insmod \(.*\.ko\).*/\1/p' | awk '!seen[$0]++'
}

# ---- inside ----

# The kernel's first process, in busybox's shell: puts the files and what belongs to a running system in place.
start() {
    set -e
    modules=$1
    mount -t virtiofs -o ro files /files
    mount -t tmpfs memory /memory
    mkdir /memory/changes /memory/work
    mount -t overlay -o lowerdir=/files,upperdir=/memory/changes,workdir=/memory/work machine /machine
    cd /machine
    mount -t tmpfs run run
    cp /environment /run_command run
    mount -t proc proc proc
    mount -t sysfs sys sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t devtmpfs dev dev
    mkdir -p dev/pts dev/shm lib/modules
    mount -t devpts devpts dev/pts
    mount -t tmpfs shm dev/shm
    mount -o bind "/files$modules" lib/modules
    exec switch_root /machine /bin/bash /run/run_command
}

# The same process, now in bash and among this machine's files. A port can be opened only once, so the
# command's outputs are pipes, as they are elsewhere.
run_command() {
    local directory=$1 status=0 copies=()
    shift
    until [ -c /dev/vport0p3 ]; do sleep 0.01; done
    export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    ip link set lo up
    mkfifo /run/stdout /run/stderr
    cat /run/stdout >/dev/vport0p1 &
    copies+=($!)
    cat /run/stderr >/dev/vport0p2 &
    copies+=($!)
    mapfile -d '' -t environment </run/environment
    setsid env --ignore-environment --chdir="$directory" "${environment[@]}" "$@" \
        </dev/null >/run/stdout 2>/run/stderr || status=$?
    kill_all_but "${copies[@]}"
    wait "${copies[@]}"
    echo $status >/dev/vport0p3
    echo o >/proc/sysrq-trigger
    sleep infinity
}

# What the command has left running could hold its outputs open for ever.
kill_all_but() {
    local process
    for process in /proc/[1-9]*; do
        [[ " 1 $* " == *" ${process#/proc/} "* ]] || kill -KILL "${process#/proc/}" 2>/dev/null
    done
}

if [ "${1-}" = --in-namespaces ]; then
    shift
    boot "$@"
else
    [ $# -gt 0 ] || fail "usage: vm-run.sh COMMAND [ARGUMENT...]"
    require_suitable_machine
    prepare
    in_namespaces "$@"
fi

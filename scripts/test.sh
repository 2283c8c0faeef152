#!/usr/bin/env bash
# Checks everything, exactly as continuous integration does: format, lints, documentation, dependencies, tests.
# Installs what the tests need (Debian 12) and builds the clients they drive. The tests run in namespaces
# of their own; the machine's network stays as it is.
#
#   scripts/test.sh                              the whole of it
#   scripts/test.sh --feature ipvlan             only what needs this feature of the kernel
#   scripts/test.sh --clients                    no test: what the tests run against, in cargo's target folder
#   CNI_BIN_DIR=/usr/lib/cni scripts/test.sh     the same tests on other plugins, here the Go reference
#   CNI_BIN_DIR=/usr/lib/cni scripts/test.sh --named bridge::    only tests with this in their names
#
# The reference is known to differ in what tests/reference_differences.txt lists: these tests are not run on it.
set -euo pipefail
cd "$(dirname "$0")/.."

# What the harness runs, the clients, the reference plugins (for what ours does not have yet), and compilers.
PACKAGES=(iproute2 iputils-ping procps conntrack nftables iptables dbus-daemon firewalld strace busybox-static
    iperf3 socat tcpdump tini dnsmasq-base aardvark-dns golang-github-containernetworking-plugin-dnsname systemd podman podman-compose
    containerd runc python3-grpcio containernetworking-plugins golang-go gcc g++ libc6-dev
    etcd-server etcd-client openssl mmdebstrap protobuf-compiler libprotobuf-dev musl-tools jq xz-utils ca-certificates)

# Packages that would start a daemon, with its unit, and one of them with rules for the whole machine.
DAEMONS=(firewalld:firewalld containerd:containerd etcd-server:etcd)

# What others may use without the rest, in the order in which it would be published.
PUBLISHED=(ferrocni-cni ferrocni-files ferrocni-cni-plugin ferrocni-cni-runtime)

TARGET=${CARGO_TARGET_DIR:-target}
LOG=$TARGET/test.log
VM_LOG=$TARGET/test-vm.log

fail() {
    echo "test.sh: $*" >&2
    exit 1
}

step() {
    echo "== $*"
}

require_root_and_rust() {
    [ "$(id -u)" = 0 ] || fail "the tests make network namespaces: run this as root"
    command -v cargo >/dev/null || fail "there is no Rust toolchain: install one from https://rustup.rs"
}

# Says nothing unless it fails.
quietly() {
    local output
    output=$("$@" 2>&1) || fail "$* failed: $output"
}

install_packages() {
    local missing=() package
    for package in "${PACKAGES[@]}"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "install these by hand, there is no apt-get here: ${missing[*]}"
    step "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get update
    without_daemons quietly apt-get install --yes --no-install-recommends "${missing[@]}"
    # Nor may they start with the machine, if they were not there before.
    local daemon
    for daemon in "${DAEMONS[@]}"; do
        [[ " ${missing[*]} " != *" ${daemon%:*} "* ]] || ! command -v systemctl >/dev/null || quietly systemctl disable "${daemon#*:}"
    done
}

# Runs an installation that starts no daemon: Debian asks this file. The tests start their own, in namespaces.
without_daemons() {
    local policy=/usr/sbin/policy-rc.d
    if [ -e $policy ]; then
        "$@"
        return
    fi
    trap "rm -f $policy" EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    "$@"
    rm -f $policy
    trap - EXIT
}

# Debian has cnitool in a source package only: its own libcni, and that of Debian 14, which speaks CNI 1.1 and needs a newer Go
# than Debian 12's.
build_cnitool() {
    local go
    if [ ! -x "$TARGET/clients/cnitool" ]; then
        step "building cnitool from Debian's source"
        build_cnitool_of "" "$TARGET/clients/cnitool" go
    fi
    if [ ! -x "$TARGET/clients/cnitool-1.1" ]; then
        step "building cnitool of CNI 1.1 from Debian 14's source"
        go=$(mktemp -d)
        fetch golang-go bookworm-backports download golang-1.23-go golang-1.23-src "$go"
        for package in "$go"/*.deb; do dpkg-deb -x "$package" "$go"; done
        build_cnitool_of forky "$TARGET/clients/cnitool-1.1" "$go/usr/lib/go-1.23/bin/go"
        rm -rf "$go"
    fi
}

# Release $1 (or the machine's own), to path $2, with the compiler $3.
build_cnitool_of() {
    local source=golang-github-appc-cni work
    work=$(mktemp -d)
    mkdir -p "$work/go/src/github.com/containernetworking" "$TARGET/clients"
    fetch "$source-dev" "$1" "source --tar-only --download-only" "$source" "$work"
    tar -C "$work" -xf "$work"/*.orig.tar.xz
    ln -s "$work/$source"-*/ "$work/go/src/github.com/containernetworking/cni"
    GO111MODULE=off GOTOOLCHAIN=local CGO_ENABLED=0 GOPATH="$work/go" GOCACHE="$work/cache" \
        "$3" build -trimpath -o "$2" github.com/containernetworking/cni/cnitool
    rm -rf "$work"
}

# Debian 14's containerd, which speaks CNI 1.1. These programs need no newer C library than Debian 12's.
unpack_containerd_2() {
    local folder=$TARGET/clients/containerd-2 work program
    [ ! -d "$folder" ] || return 0
    step "unpacking containerd 2 from Debian 14"
    work=$(mktemp -d)
    fetch dpkg forky download containerd "$work"
    dpkg-deb -x "$work"/containerd_*.deb "$work/root"
    mkdir -p "$work/containerd-2" "$TARGET/clients"
    for program in containerd containerd-shim-runc-v2; do mv "$work/root/usr/bin/$program" "$work/containerd-2"; done
    mv "$work/containerd-2" "$folder"
    rm -rf "$work"
}

# Has apt get something (command $3, packages $4 and so on) of release $2 into the last argument, a folder. The source lists of
# the machine stay as they are: apt is given the one that package $1 is from as a list of its own. A mirror's list of an earlier
# day will do.
fetch() {
    local package=$1 release=$2 command=$3 folder=${*: -1} type=deb
    local packages=("${@:4:$#-4}")
    [[ $command != source* ]] || type=deb-src
    mkdir -p "$folder/lists/partial"
    local apt=(apt-get -o "Dir::Etc::SourceList=$(source_list_for "$package" $type "$release" "$folder")"
        -o Dir::Etc::SourceParts=/dev/null -o "Dir::State::Lists=$folder/lists" -o APT::Sandbox::User=root
        -o Acquire::Check-Valid-Until=false)
    quietly "${apt[@]}" update
    # shellcheck disable=SC2086 # a command with its options
    (cd "$folder" && quietly "${apt[@]}" $command "${packages[@]}")
}

# Debian 13's Podman, netavark and aardvark-dns with what they are linked to. They are unpacked only: the tests lay them
# over a throw-away host's own programs.
unpack_debian_13() {
    local folder=$TARGET/clients/debian-13 work list
    [ ! -d "$folder" ] || return 0
    step "unpacking Podman 5 from Debian 13"
    work=$(mktemp -d)
    list=$(source_list_for netavark deb trixie "$work")
    quietly mmdebstrap --variant=extract --include=podman,netavark,aardvark-dns,runc,passt,uidmap \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/libexec/podman/podman-testing' \
        trixie "$work/debian-13" "$list"
    mkdir -p "$TARGET/clients"
    mv "$work/debian-13" "$folder"
    rm -rf "$work"
}

# Debian 12 and 13 as they are before anybody installs a thing, for the tests of the package: a root file system each.
make_debian_roots() {
    local release folder work list
    for release in bookworm trixie; do
        folder=$TARGET/clients/root-$release
        [ ! -d "$folder" ] || continue
        step "making a root file system of Debian's $release"
        work=$(mktemp -d)
        list=$(source_list_for dpkg deb $release "$work")
        quietly mmdebstrap --variant=essential --dpkgopt='path-exclude=/usr/share/doc/*' \
            --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/man/*' \
            $release "$work/root" "$list"
        mkdir -p "$TARGET/clients"
        mv "$work/root" "$folder"
        rm -rf "$work"
    done
}

# Makes a source list in folder $4, and prints its path: the machine's own entry that package $1 is from, with its server,
# options and key, but of type $2 (deb or deb-src) and, if $3 says one, for another release.
source_list_for() {
    local package=$1 type=$2 release=$3 folder=$4 index entry file number
    index=$(apt-cache madison "$package" | awk -F ' [|] ' 'NR == 1 { print $3 }')
    entry=$(apt-get indextargets --format '$(SOURCESENTRY)' "Description: $index" | head -n 1)
    [ -n "$entry" ] || fail "no source of packages of this machine has $package, for which its list is needed"
    # FILE:NUMBER, which is a stanza's in the newer format (comments are none) and a line's in the older one.
    file=${entry%:*} number=${entry##*:}
    case $file in
        *.sources)
            sed "/^#/d; s/^Types:.*/Types: $type/I; ${release:+s/^Suites:.*/Suites: $release/I}" "$file" |
                awk -v RS= "NR == $number" >"$folder/machine.sources"
            echo "$folder/machine.sources"
            ;;
        *)
            sed -nE "$number {s/^[[:space:]]*deb[[:space:]]/$type /; ${release:+s/(:\/\/[^[:space:]]+[[:space:]]+)[^[:space:]]+/\1$release/;} p}" \
                "$file" >"$folder/machine.list"
            echo "$folder/machine.list"
            ;;
    esac
}

# Each of them is whole without the workspace's folders, as far as packing can tell; that they compile is known.
pack_crates() {
    cargo package --locked --allow-dirty --no-verify "${PUBLISHED[@]/#/--package=}"
}

# With the oldest Rust that Cargo.toml promises, where rustup has it or can bring it. Elsewhere clippy (incompatible_msrv) and
# scripts/dependencies.sh have to do.
check_oldest_rust() {
    local oldest
    oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    if timeout 120 rustup toolchain install "$oldest" --profile minimal --target "$CARGO_BUILD_TARGET" >/dev/null 2>&1; then
        cargo "+$oldest" check --locked --workspace --bins --target-dir "$TARGET/oldest-rust"
    else
        echo "there is no Rust $oldest here, and rustup brings none: only lints and what crates say of themselves are checked"
    fi
}

# More threads than cores: the tests mostly wait for the kernel.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-4}

run_tests() {
    if on_the_reference; then
        run_named ""
    else
        cargo test --locked --workspace --no-fail-fast 2>&1 | tee "$LOG" || run_failed_again
    fi
}

# Runs what has failed beside others once more, one at a time: on a busy machine something may take longer than a test waits for it.
# What the tests have said is printed, whether they pass then or not.
run_failed_again() {
    local names targets target
    mapfile -t names < <(failed_in "$LOG")
    mapfile -t targets < <(sed -n 's/^    `\(-p .*\)`$/\1/p' "$LOG")
    [ ${#names[@]} -gt 0 ] && [ ${#targets[@]} -gt 0 ] || fail "see $LOG"
    step "failed beside others:"
    awk '/^---- .* stdout ----$/ { shown = 40 } /^failures:$/ { shown = 0 } !/^ +([0-9]+: |at )/ && shown-- > 0' "$LOG" | tee "$LOG.failed"
    for target in "${targets[@]}"; do
        # shellcheck disable=SC2086
        cargo test --locked $target -- --exact --test-threads 1 "${names[@]}" 2>&1 | tee -a "$LOG"
    done
}

# The names of the tests that failed, by what was printed of them.
failed_in() {
    sed -n 's/^test \(.*\) \.\.\. FAILED.*$/\1/p' "$1"
}

# What Go's linker made.
on_the_reference() {
    [ -n "${CNI_BIN_DIR-}" ] && grep -q 'Go buildinf:' "$CNI_BIN_DIR/bridge"
}

# Runs the tests of plugins with $1 in their names.
run_named() {
    local target names found= failed=
    : >"$LOG"
    for target in by-plugin by-app conformance clients; do
        mapfile -t names < <(cargo test --locked --quiet -p tests --test "$target" -- --list --format terse |
            sed -n 's/: test$//p' | { grep -F -- "$1" || true; } | with_reference | without_known_differences "$target")
        [ ${#names[@]} -gt 0 ] || continue
        found=yes
        step "$target: ${#names[@]} tests"
        cargo test --locked -p tests --test "$target" -- --exact "${names[@]}" 2>&1 | tee -a "$LOG" || failed=yes
    done
    [ -n "$found" ] || fail "there are no tests to run with $1 in their names"
    [ -z "$failed" ] || fail "some tests failed, see $LOG"
}

# Passes on the names of tests, without those of what only we have if the reference is tested.
with_reference() {
    if on_the_reference; then sed '/^ferrocni::/d'; else cat; fi
}

# Passes on the names of tests of target $1, without those in which the reference differs if it is tested; says how many.
without_known_differences() {
    local all known
    all=$(cat)
    known=$(on_the_reference && sed -n "/^\[$1\]/,/^$/s/: .*//p" tests/reference_differences.txt || true)
    known=$(grep -Fx -- "$known" <<<"$all" || true)
    [ -z "$known" ] || echo "== $1: $(wc -l <<<"$known") known differences of the reference are left out" >&2
    grep -vFx -- "${known:-?}" <<<"$all" | sed '/^$/d'
}

# Tests of what a kernel may lack are a target of their own with a module a feature. A module whose test
# `the_kernel_has_it` passes here, or that has none, runs here; all others in one boot of a virtual machine.
# With arguments: these modules only.
run_tests_by_kernel_feature() {
    local program names module modules=("$@") here=() elsewhere=()
    program=$(by_kernel_feature)
    names=$("$program" --list --format terse | sed -n 's/: test$//p' | without_known_differences by-kernel-feature)
    [ $# -gt 0 ] || mapfile -t modules < <(sed 's/::.*//' <<<"$names" | sort -u)
    for module in "${modules[@]}"; do
        [ -n "$(tests_of "$module")" ] || fail "there are no tests of a kernel feature $module"
        if kernel_has "$module"; then here+=("$module"); else elsewhere+=("$module"); fi
    done
    run_modules "on this machine" "$LOG" "" "${here[@]}"
    run_modules "in a virtual machine" "$VM_LOG" scripts/vm-run.sh "${elsewhere[@]}"
}

# Builds it and says where it is.
by_kernel_feature() {
    cargo test --locked --quiet -p tests --test by-kernel-feature --no-run --message-format json |
        jq -r 'select(.target.name == "by-kernel-feature").executable'
}

kernel_has() {
    local probe=$1::the_kernel_has_it
    ! grep -qx "$probe" <<<"$names" || "$program" --exact "$probe" >/dev/null 2>&1
}

# Their full names: the filter `vlan::` would let `ipvlan::` pass too.
tests_of() {
    local module
    for module in "$@"; do
        sed -n "/^$module::/p" <<<"$names"
    done
}

run_modules() {
    local where=$1 log=$2 runner=$3 tests
    shift 3
    [ $# -gt 0 ] || return 0
    step "tests of kernel features $where: $*"
    mapfile -t tests < <(tests_of "$@")
    if ! $runner "$program" --exact "${tests[@]}" 2>&1 | tee "$log.run"; then
        mapfile -t tests < <(failed_in "$log.run")
        [ ${#tests[@]} -gt 0 ] || fail "see $log.run"
        step "once more, one at a time: ${tests[*]}"
        $runner "$program" --exact --test-threads 1 "${tests[@]}" 2>&1 | tee -a "$log.run"
    fi
    cat "$log.run" >>"$log"
}

# How many tests passed, by what was printed of them.
passed() {
    awk '/^test result:/ { passed += $4 } END { print passed + 0 }' "$@"
}

require_root_and_rust
install_packages
build_cnitool
unpack_containerd_2
unpack_debian_13
make_debian_roots
[ "${1-}" != --clients ] || exit 0
rm -f "$LOG.failed"
CARGO_BUILD_TARGET=$(scripts/target.sh)
export CARGO_BUILD_TARGET
step "build for $CARGO_BUILD_TARGET"
cargo build --locked --workspace --bins
: >"$VM_LOG"
case ${1-} in
    --feature)
        run_tests_by_kernel_feature "${@:2}"
        exit
        ;;
    --named)
        run_named "${2:?a part of names}"
        exit
        ;;
esac
step "format"
cargo fmt --all --check
step "lints"
cargo clippy --locked --workspace --all-targets -- -D warnings
# Which "all targets" leaves out, as `cargo test` does.
cargo clippy --locked -p tests --test by-kernel-feature -- -D warnings
step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items
step "dependencies"
scripts/dependencies.sh
step "the oldest Rust"
check_oldest_rust
step "crates that others use"
pack_crates
scripts/api.sh
step "tests"
run_tests
step "fuzzing"
scripts/fuzz.sh 5
run_tests_by_kernel_feature
[ ! -s "$LOG.failed" ] || step "these passed alone only, as told above: $(sed -n 's/^---- \(.*\) stdout ----$/\1/p' "$LOG.failed" | xargs)"
echo "test.sh: format, lints, documentation, dependencies and $(passed "$LOG" "$VM_LOG") tests" \
    "($(passed "$VM_LOG") of them in a virtual machine) passed in $SECONDS s"

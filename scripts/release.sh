#!/usr/bin/env bash
# Makes what people install without a Rust toolchain, in OUT (default dist/), from the last commit:
#
#   ferrocni-VERSION-TARGET.tar.gz    the programs, manual, units, examples, and an install.sh
#   ferrocni_VERSION_ARCH.deb         the same as a package for Debian and its relatives
#   ferrocni-VERSION-ARCH-image.tar   an OCI image that installs the plugins on a node of Kubernetes
#   ferrocni-daemonset.yaml           which runs it on each node
#   ferrocni-VERSION.cdx.json         what is linked into the programs (CycloneDX), and in the other three their licences
#   SHA256SUMS
#
# The same commit is to give the same bytes, wherever and whenever it is built with the same toolchain: no time and no path of the machine
# is in them.
#
#   scripts/release.sh [OUT]
#   PROGRAMS=DIR scripts/release.sh [OUT]    packs the programs in DIR, hardly compressed, instead of building them: for tests
set -euo pipefail
umask 022
export LC_ALL=C TZ=UTC
fail() { echo "release.sh: $*" >&2; exit 1; }

cd "$(dirname "$0")/.."
out=$(mkdir -p "${1:-dist}" && cd "${1:-dist}" && pwd)
given=${PROGRAMS:+$(cd "$PROGRAMS" && pwd)}
for program in git jq tar gzip dpkg-deb sha256sum; do
    command -v "$program" >/dev/null || fail "there is no $program: install it first"
done
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
CARGO_BUILD_TARGET=$(scripts/target.sh)
export CARGO_BUILD_TARGET
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
case $CARGO_BUILD_TARGET in
    x86_64-*) deb_arch=amd64 oci_arch=amd64 ;;
    aarch64-*) deb_arch=arm64 oci_arch=arm64 ;;
    *) fail "no package is made for $CARGO_BUILD_TARGET" ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What is not committed is in no release. Tests are of what is there now.
mkdir "$work/source"
if [ -n "$given" ]; then git ls-files -z | tar --null -T - -c; else git archive HEAD; fi | tar -x -C "$work/source"
cd "$work/source"

# A folder with a main.rs is a program of that name.
names() { for main in "$@"; do basename "${main%/src/main.rs}"; done; }
plugins=$(names plugins/*/src/main.rs ipam/*/src/main.rs)
apps=$(names apps/*/src/main.rs)

# The paths of this machine are in no program. What the project's own configuration tells the compiler stays; what the environment
# tells it would take its place.
build() {
    scripts/needs.sh
    unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
    local remap="'--remap-path-prefix=$work=/ferrocni', '--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo'"
    export CARGO_TARGET_DIR=$work/target
    CARGO_INCREMENTAL=0 cargo --config "target.'cfg(target_os = \"linux\")'.rustflags = [$remap]" build --locked --release --bins --quiet
    programs=$CARGO_TARGET_DIR/$CARGO_BUILD_TARGET/release
}

# A build for tests has ten times the size of its code in it that only debuggers read.
strip_given() {
    local program
    mkdir "$work/programs"
    for program in $plugins $apps; do strip -o "$work/programs/$program" "$given/$program"; done
    programs=$work/programs
}

if [ -n "$given" ]; then
    strip_given
    level=1 deb_compression=gzip
else
    build
    level=9 deb_compression=xz
fi

# The files of an installation below $1. The units name the folder of the programs, which is another one in a package.
lay_out() {
    local root=$1 program unit
    install -d "$root"/usr/{bin,lib/cni,libexec/ferrocni,lib/systemd/system,share/{bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d,man/man1}}
    for program in $plugins; do install -m 0755 "$programs/$program" "$root/usr/lib/cni/"; done
    for program in $apps; do install -m 0755 "$programs/$program" "$root/$(folder_of "$program")/"; done
    scripts/podman-links.sh "$root/usr/libexec/ferrocni"
    "$programs/ferrocni" man "$root/usr/share/man/man1"
    gzip -n9 "$root"/usr/share/man/man1/*
    "$programs/ferrocni" completion bash >"$root/usr/share/bash-completion/completions/ferrocni"
    "$programs/ferrocni" completion zsh >"$root/usr/share/zsh/vendor-completions/_ferrocni"
    "$programs/ferrocni" completion fish >"$root/usr/share/fish/vendor_completions.d/ferrocni.fish"
    for unit in conf/systemd/*; do
        sed "s:/usr/local/bin/:/usr/bin/:; s:/opt/cni/bin/:/usr/lib/cni/:" "$unit" >"$root/usr/lib/systemd/system/${unit##*/}"
    done
    lay_out_documents "$root/usr/share/doc/ferrocni"
}

# `netavark` has the name of the program that it stands for, so nobody finds it who has not been told where it is.
folder_of() {
    if [ "$1" = netavark ]; then echo usr/libexec/ferrocni; else echo usr/bin; fi
}

# In the folders that they have in the sources, so that links from page to page lead somewhere.
lay_out_documents() {
    local folder=$1 page
    for page in README.md SECURITY.md CHANGELOG.md docs/*.md conf/*.conflist conf/overlay/* plugins/*/README.md ipam/*/README.md; do
        install -D -m 0644 "$page" "$folder/$page"
    done
    gzip -n9 <CHANGELOG.md >"$folder/changelog.gz"
    { sed -n '1,/^$/p' conf/debian/copyright; scripts/linked.sh licences; } >"$folder/copyright"
    install -m 0644 "$work/sbom.json" "$folder/ferrocni.cdx.json"
}

# A tar archive of what is below $1 that says nothing of when and by whom it was made.
pack() {
    tar -C "$1" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --format=gnu -c "${@:2}"
}

make_tarball() {
    local name=ferrocni-$version-$CARGO_BUILD_TARGET
    cp -a "$work/root" "$work/$name"
    install -m 0755 conf/tarball/install.sh "$work/$name/"
    pack "$work" "$name" | gzip -n$level >"$out/$name.tar.gz"
}

make_deb() {
    local root=$work/deb file
    cp -a "$work/root" "$root"
    install -d "$root/DEBIAN"
    for file in postinst prerm postrm; do
        sed "s/@PLUGINS@/$(echo $plugins)/" "conf/debian/$file" >"$root/DEBIAN/$file"
        chmod 0755 "$root/DEBIAN/$file"
    done
    sed "s/@VERSION@/$version/; s/@ARCH@/$deb_arch/; s/@SIZE@/$(du -sk --apparent-size "$root/usr" | cut -f1)/" \
        conf/debian/control >"$root/DEBIAN/control"
    (cd "$root" && find usr -type f | sort | xargs md5sum) >"$root/DEBIAN/md5sums"
    dpkg-deb --root-owner-group --threads-max=1 -Z"$deb_compression" -z"$level" --build "$root" "$out/ferrocni_${version}_$deb_arch.deb" >/dev/null
}

# An OCI image layout (image-spec 1.1) in one archive: one layer with nothing but static programs.
make_image() {
    local layout=$work/image layer config manifest
    install -d "$layout/blobs/sha256" "$work/layer/opt/ferrocni"
    for program in $plugins ferrocni ferrocni-dns; do
        install -m 0755 "$programs/$program" "$work/layer/opt/ferrocni/"
    done
    layer=$(blob < <(pack "$work/layer" opt))
    config=$(jq -cn --arg arch "$oci_arch" --arg layer "sha256:$layer" --arg created "$(date -d "@$SOURCE_DATE_EPOCH" +%FT%TZ)" \
        --arg version "$version" '{
            created: $created, architecture: $arch, os: "linux",
            config: {Entrypoint: ["/opt/ferrocni/ferrocni", "install", "--from", "/opt/ferrocni"], Cmd: ["/host/opt/cni/bin"],
                     Labels: {"org.opencontainers.image.title": "ferrocni", "org.opencontainers.image.version": $version,
                              "org.opencontainers.image.licenses": "Apache-2.0"}},
            rootfs: {type: "layers", diff_ids: [$layer]}}' | blob)
    manifest=$(jq -cn --argjson config "$(described "$config" application/vnd.oci.image.config.v1+json)" \
        --argjson layer "$(described "$layer" application/vnd.oci.image.layer.v1.tar)" \
        '{schemaVersion: 2, mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: [$layer]}' | blob)
    jq -cn --argjson manifest "$(described "$manifest" application/vnd.oci.image.manifest.v1+json)" --arg version "$version" \
        --arg arch "$oci_arch" '{schemaVersion: 2, mediaType: "application/vnd.oci.image.index.v1+json", manifests: [$manifest
            + {platform: {architecture: $arch, os: "linux"}, annotations: {
                "org.opencontainers.image.ref.name": $version, "io.containerd.image.name": "docker.io/library/ferrocni:\($version)"}}]}' \
        >"$layout/index.json"
    echo '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
    pack "$layout" oci-layout index.json blobs >"$out/ferrocni-$version-$oci_arch-image.tar"
    sed "s/@VERSION@/$version/" conf/kubernetes/daemonset.yaml >"$out/ferrocni-daemonset.yaml"
}

# Keeps standard input under its SHA-256, and prints that.
blob() {
    local digest
    cat >"$work/blob"
    digest=$(sha256sum "$work/blob" | cut -d' ' -f1)
    mv "$work/blob" "$work/image/blobs/sha256/$digest"
    echo "$digest"
}

described() {
    jq -cn --arg digest "sha256:$1" --arg type "$2" --argjson size "$(stat -c %s "$work/image/blobs/sha256/$1")" \
        '{mediaType: $type, digest: $digest, size: $size}'
}

scripts/linked.sh sbom >"$work/sbom.json"
lay_out "$work/root"
make_tarball
make_deb
make_image
cp "$work/sbom.json" "$out/ferrocni-$version.cdx.json"
cd "$out"
sha256sum ferrocni*"$version"* ferrocni-daemonset.yaml >SHA256SUMS
cat SHA256SUMS

//! What `scripts/release.sh` makes, on machines without a toolchain: Debian 12 and 13 as they are before anybody installs a thing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tests::{Container, Finished, Host, Inside as _, bin_dir, client};

/// The folder with the packages of the tested programs. They are made when the first test of this process asks for them; other processes
/// with such tests wait until it has ended.
pub(crate) fn packages() -> &'static Path {
    static PACKED: LazyLock<(PathBuf, File)> = LazyLock::new(|| {
        let lock = File::create(bin_dir().join("release.lock")).unwrap();
        lock.lock().unwrap();
        let folder = bin_dir().join("release");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/release.sh");
        let packed = Command::new(script).arg(&folder).env("PROGRAMS", bin_dir()).output().unwrap();
        assert!(packed.status.success(), "{}", String::from_utf8_lossy(&packed.stderr));
        (folder, lock)
    });
    &PACKED.0
}

/// The only file there with that beginning and that end.
#[track_caller]
pub(crate) fn package(beginning: &str, end: &str) -> PathBuf {
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(beginning) && name.ends_with(end)
    };
    let mut found = packages().read_dir().unwrap().map(|entry| entry.unwrap().path()).filter(is_it);
    let path = found.next().unwrap_or_else(|| panic!("no {beginning}*{end} in {}", packages().display()));
    assert!(found.next().is_none(), "more than one {beginning}*{end}: empty {}", packages().display());
    path
}

/// A machine with a root file system of Debian's, which begins as Debian has made it.
struct Debian {
    host: Host,
}

const ROOT: &str = "/run/debian/root";

impl Debian {
    fn new(release: &str) -> Self {
        let host = Host::new();
        let lower = client(&format!("root-{release}"));
        host.shell("mkdir -p /run/debian/lower /run/debian/upper /run/debian/work /run/debian/root /run/packages");
        // An overlay's option could not have every path in it.
        host.run([Path::new("mount"), "--bind".as_ref(), &lower, "/run/debian/lower".as_ref()]);
        host.run([Path::new("mount"), "--bind".as_ref(), packages(), "/run/packages".as_ref()]);
        host.shell(&format!(
            "cd /run/debian; mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work overlay {ROOT}
             for folder in proc sys dev run; do mount --rbind /$folder {ROOT}/$folder; done
             cp $(command -v busybox) {ROOT}/usr/bin/"
        ));
        Self { host }
    }

    #[track_caller]
    fn try_run(&self, line: &str) -> Finished {
        self.host.try_run(["chroot", ROOT, "sh", "-euc", line])
    }

    #[track_caller]
    fn run(&self, line: &str) -> String {
        self.try_run(line).ok()
    }

    /// Every file with its owner, mode and contents, but for what dpkg keeps for itself.
    fn files(&self) -> Vec<String> {
        let pruned = ["/proc", "/sys", "/dev", "/run", "/var/lib/dpkg", "/var/log"].map(|path| format!("-path {path}"));
        let pruned = format!("find / \\( {} \\) -prune -o", pruned.join(" -o "));
        let listed = self
            .run(&format!("{pruned} -printf '%y %m %U:%G %p %l\\n'; {pruned} -type f -print0 | xargs -0 sha256sum"));
        let mut lines: Vec<_> = listed.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

#[track_caller]
fn assert_same(before: &[String], after: &[String]) {
    let beyond = |these: &[String], others: &[String], sign: char| -> Vec<String> {
        these.iter().filter(|line| others.binary_search(line).is_err()).map(|line| format!("{sign} {line}")).collect()
    };
    let difference = [beyond(before, after, '-'), beyond(after, before, '+')].concat();
    assert!(difference.is_empty(), "{}", difference.join("\n"));
}

/// Two programs, each of which serves a page and fetches the other's, by its name.
fn two_programs_talk(debian: &Debian) {
    debian.run("ferrocni network create web; mkdir /srv/one /srv/two");
    for (name, other) in [("one", "two"), ("two", "one")] {
        let program = format!(
            "echo of {name} >/srv/{name}/page; busybox httpd -p 80 -h /srv/{name}
             until busybox wget -qO /srv/{name}/fetched http://{other}/page; do sleep 0.05; done; exec sleep 1000"
        );
        debian.run(&format!("ferrocni run -d --name {name} --network web sh -c '{program}'"));
    }
    for (name, other) in [("one", "two"), ("two", "one")] {
        let fetched =
            debian.run(&format!("until [ -s /srv/{name}/fetched ]; do sleep 0.05; done; cat /srv/{name}/fetched"));
        assert_eq!(fetched, format!("of {other}\n"));
    }
}

impl Debian {
    /// What the kernel has for the host, to the last empty table.
    fn kernel(&self) -> String {
        self.host.shell(
            "ip -o link; ip -o address | sed 's/valid_lft.*//'; ip rule; ip route show table all; nft list ruleset",
        )
    }

    /// A container of `ferrocni run`, and its address.
    fn container(&self, name: &str) -> (Container, String) {
        let pid = self.run(&format!("ferrocni ps --filter name={name} --format '{{{{.PID}}}}'"));
        let container = self.host.container_at(name, format!("/proc/{}/ns/net", pid.trim()).as_ref());
        let address = container.addresses("eth0")[0].split('/').next().unwrap().to_owned();
        (container, address)
    }

    fn install(&self) -> Finished {
        self.try_run("dpkg --install /run/packages/ferrocni_*.deb")
    }
}

#[test]
fn debian_13_is_as_before_once_the_package_is_removed() {
    let debian = Debian::new("trixie");
    let (files, kernel) = (debian.files(), debian.kernel());
    let _ = debian.install().ok();
    two_programs_talk(&debian);
    debian.run("ferrocni stop one two; ferrocni network rm web; rm -r /srv/one /srv/two");
    debian.run("dpkg --purge ferrocni");
    assert_same(&files, &debian.files());
    assert_eq!(kernel, debian.kernel());
}

#[test]
fn containers_talk_while_debian_12_s_package_is_upgraded_and_removed() {
    let debian = Debian::new("bookworm");
    let (files, kernel) = (debian.files(), debian.kernel());
    let _ = debian.install().ok();
    two_programs_talk(&debian);
    let ((one, first), (two, second)) = (debian.container("one"), debian.container("two"));
    let (at_one, at_two) = (one.listen_tcp(81), two.listen_tcp(81));
    let conversation = one.converse(&two, &format!("{second}:82"));
    let talk = || {
        conversation.assert_goes_on();
        one.assert_reaches_tcp(&format!("{second}:81"));
        two.assert_reaches_tcp(&format!("{first}:81"));
    };
    let _ = debian.install().ok();
    talk();
    let removed = debian.try_run("dpkg --remove ferrocni");
    assert!(removed.status.success(), "{removed}");
    let listed = ["still connected: ", "one (container ", "two (container ", "on network web"];
    assert!(listed.iter().all(|words| removed.stderr.contains(words)), "{removed}");
    talk();
    let _ = debian.install().ok();
    talk();
    drop((conversation, at_one, at_two, one, two));
    debian.run("ferrocni stop one two; ferrocni network rm web; rm -r /srv/one /srv/two");
    debian.run("dpkg --purge ferrocni");
    assert_same(&files, &debian.files());
    assert_eq!(kernel, debian.kernel());
}

/// Somebody's own plugins, and somebody's choice of another alternative, are not the package's.
#[test]
fn what_is_in_the_plugins_folder_already_stays() {
    let debian = Debian::new("trixie");
    debian.run("mkdir -p /opt/cni/bin; echo theirs >/opt/cni/bin/bridge");
    let files = debian.files();
    let installed = debian.install();
    assert!(installed.status.success() && installed.stderr.contains("stay in /opt/cni/bin: bridge\n"), "{installed}");
    assert_eq!(debian.run("readlink -f /opt/cni/bin/ptp; cat /opt/cni/bin/bridge"), "/usr/lib/cni/ptp\ntheirs\n");
    debian.run("ferrocni install --from /usr/lib/cni /opt/cni/bin && cmp /usr/lib/cni/bridge /opt/cni/bin/bridge");
    debian.run("ferrocni install --undo /opt/cni/bin; dpkg --purge ferrocni");
    assert_same(&files, &debian.files());
}

#[test]
fn the_tarball_leaves_what_was_there_before() {
    let host = Host::new();
    let tarball = package("ferrocni-", ".tar.gz");
    host.shell(&format!(
        "mkdir /run/release /run/plugins /run/prefix; tar -C /run/release --strip-components 1 -xzf '{}'
         echo theirs >/run/plugins/bridge; echo theirs >/run/prefix/file",
        tarball.display()
    ));
    let files = || host.shell("find /run/plugins /run/prefix | sort; cat /run/plugins/bridge");
    let before = files();
    host.run(["/run/release/install.sh", "/run/plugins", "/run/prefix"]);
    host.shell("/run/prefix/bin/ferrocni network ls; cmp /run/release/usr/lib/cni/bridge /run/plugins/bridge");
    host.run(["/run/release/install.sh", "--remove", "/run/plugins", "/run/prefix"]);
    assert_eq!(files(), before);
}

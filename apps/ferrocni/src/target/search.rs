//! From a word on the command line to a container.

use std::path::{Path, PathBuf};

use cni::ContainerId;
use netlink::{Netns, if_found};

use super::{Engine, bare_id};
use crate::attachments::Connection;

/// Where named namespaces are, those of containers among them.
const NAMED: &str = "/run/netns";

/// How many characters of a long id are shown.
const SHORT_ID: usize = 12;

/// A container, or any network namespace in use as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) container: ContainerId,
    pub(crate) name: String,
    pub(crate) engine: Engine,
    /// `None` if it does not run any more.
    pub(crate) netns: Option<PathBuf>,
    /// What its runtime tells the plugins about it (`CNI_ARGS`), but for what holds for one interface only.
    pub(crate) args: Vec<(String, String)>,
}

/// Why there is no target.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error(
        "there is no container {0:?}: name one on any network, or give its id, PID (pid:1234) or namespace (/run/netns/NAME)"
    )]
    Unknown(String),
    #[error("{wanted} may be {}: give more of the id, or pid:NUMBER for a process", candidates.join(" or "))]
    Ambiguous { wanted: String, candidates: Vec<String> },
    #[error("there is no process {0:?}")]
    Process(String),
    #[error(transparent)]
    Invalid(#[from] cni::InvalidName),
    #[error(transparent)]
    Namespace(#[from] netlink::Error),
}

impl Target {
    /// The one container that is called `wanted`: by its name or id, by the beginning of its id, by the name or path of its
    /// namespace, by the PID of a process in it. A whole name or id is taken before all else.
    pub(crate) fn find(connections: &[Connection], wanted: &str) -> Result<Self, TargetError> {
        let search = Search { containers: containers(connections), wanted };
        match search.by_name()? {
            // Its interfaces are gone. That it has no others cannot be told but by the namespace.
            Some(dead) if dead.netns.is_none() => return Ok(search.by_namespace()?.unwrap_or(dead)),
            Some(found) => return Ok(found),
            None => {}
        }
        if let Some(pid) = wanted.strip_prefix("pid:") {
            return search.by_pid(pid)?.ok_or_else(|| TargetError::Process(pid.to_owned()));
        }
        if wanted.contains('/') {
            return search.in_namespace(&Netns::open(wanted)?, name_of_path(Path::new(wanted)));
        }
        search.by_abbreviation()
    }

    fn label(&self) -> String {
        format!("{} ({}, {})", self.name, short(self.container.as_str()), self.engine)
    }
}

struct Search<'a> {
    containers: Vec<Container<'a>>,
    wanted: &'a str,
}

impl Search<'_> {
    /// The dead do not make the living ambiguous.
    fn by_name(&self) -> Result<Option<Target>, TargetError> {
        let called = self.containers.iter().filter(|container| container.is_called(self.wanted));
        let mut found = called.map(Container::target).collect::<Result<Vec<_>, _>>()?;
        if found.iter().any(|target| target.netns.is_some()) {
            found.retain(|target| target.netns.is_some());
        }
        if found.is_empty() { Ok(None) } else { self.only(found).map(Some) }
    }

    /// By the beginning of an id, by a name in [`NAMED`], by a number alone: whichever there is.
    fn by_abbreviation(&self) -> Result<Target, TargetError> {
        let begins =
            self.containers.iter().filter(|container| !self.wanted.is_empty() && container.id_begins(self.wanted));
        let mut found = begins.map(Container::target).collect::<Result<Vec<_>, _>>()?;
        found.extend(self.by_namespace()?);
        found.extend(self.by_pid(self.wanted)?);
        self.only(found)
    }

    /// The container that a name in [`NAMED`] belongs to.
    fn by_namespace(&self) -> Result<Option<Target>, TargetError> {
        let path = Path::new(NAMED).join(self.wanted);
        if path.file_name().is_none_or(|name| name != self.wanted) {
            // It is a path, or the folder itself.
            return Ok(None);
        }
        let netns = if_found(Netns::open(&path))?;
        netns.map(|netns| self.in_namespace(&netns, self.wanted.to_owned())).transpose()
    }

    /// The container that a process belongs to; `None` if there is no such process, or it is no number.
    fn by_pid(&self, pid: &str) -> Result<Option<Target>, TargetError> {
        if pid.is_empty() || !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(None);
        }
        let netns = if_found(Netns::open(format!("/proc/{pid}/ns/net")))?;
        netns.map(|netns| self.in_namespace(&netns, format!("pid-{pid}"))).transpose()
    }

    /// The container that has the namespace. If none is known, the namespace is one, under that name.
    fn in_namespace(&self, netns: &Netns, name: String) -> Result<Target, TargetError> {
        for container in &self.containers {
            if container.lives_in(netns)? {
                return container.target();
            }
        }
        Ok(Target {
            container: ContainerId::new(format!("netns-{}", netns.id().inode))?,
            args: args(&[], &name),
            name,
            engine: Engine::Unknown,
            netns: Some(netns.path().to_owned()),
        })
    }

    /// One and the same may be found in several ways.
    fn only(&self, mut found: Vec<Target>) -> Result<Target, TargetError> {
        found.sort_by(|one, other| one.container.cmp(&other.container));
        found.dedup_by(|one, other| one.container == other.container);
        match (found.pop(), found.is_empty()) {
            (Some(target), true) => Ok(target),
            (None, _) => Err(TargetError::Unknown(self.wanted.to_owned())),
            (Some(last), false) => Err(TargetError::Ambiguous {
                wanted: self.wanted.to_owned(),
                candidates: found.iter().chain([&last]).map(Target::label).collect(),
            }),
        }
    }
}

/// All connections of one container, those that its runtime made first.
struct Container<'a>(Vec<&'a Connection>);

fn containers(connections: &[Connection]) -> Vec<Container<'_>> {
    let mut containers: Vec<Container<'_>> = Vec::new();
    for connection in connections {
        let is_its = |known: &&mut Container<'_>| {
            known.0[0].recorded.endpoint.container == connection.recorded.endpoint.container
        };
        match containers.iter_mut().find(is_its) {
            Some(known) => known.0.push(connection),
            None => containers.push(Container(vec![connection])),
        }
    }
    containers
}

impl Container<'_> {
    fn id(&self) -> &str {
        self.0[0].recorded.endpoint.container.as_str()
    }

    /// Of a pod, the namespace may be left out.
    fn is_called(&self, wanted: &str) -> bool {
        let name = &self.0[0].name;
        name == wanted
            || name.rsplit_once('/').is_some_and(|(_, pod)| pod == wanted)
            || self.id() == wanted
            || bare_id(self.id()) == wanted
    }

    /// Also of the id without the namespace before it.
    fn id_begins(&self, wanted: &str) -> bool {
        self.id().starts_with(wanted) || bare_id(self.id()).starts_with(wanted)
    }

    fn target(&self) -> Result<Target, TargetError> {
        let endpoint = &self.0[0].recorded.endpoint;
        let name = self.0[0].name.clone();
        let living = self.living()?;
        Ok(Target {
            container: endpoint.container.clone(),
            args: args(&endpoint.args, &name),
            name,
            engine: self.0[0].engine,
            netns: living.and_then(|connection| connection.netns()).map(Path::to_owned),
        })
    }

    fn lives_in(&self, netns: &Netns) -> Result<bool, netlink::Error> {
        for connection in &self.0 {
            if connection.is_alive_in(netns)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn living(&self) -> Result<Option<&Connection>, netlink::Error> {
        for connection in &self.0 {
            if connection.is_alive()? {
                return Ok(Some(connection));
            }
        }
        Ok(None)
    }
}

/// `IP` and `MAC` are of the interface that they were given for. Plugins that do not know an argument are to ignore it.
fn args(known: &[(String, String)], name: &str) -> Vec<(String, String)> {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let mut args = vec![pair("IgnoreUnknown", "1")];
    let of_container = |(key, _): &&(String, String)| !["IgnoreUnknown", "IP", "MAC"].contains(&key.as_str());
    args.extend(known.iter().filter(of_container).cloned());
    let is_named = args.iter().any(|(key, _)| key == "K8S_POD_NAME");
    if !is_named && !name.contains([';', '\0']) {
        args.push(pair("K8S_POD_NAME", name));
    }
    args
}

fn name_of_path(path: &Path) -> String {
    let pid = path.strip_prefix("/proc").ok().and_then(|rest| rest.iter().next());
    let words = pid.map(|pid| format!("pid-{}", pid.display()));
    words.unwrap_or_else(|| path.file_name().unwrap_or_default().display().to_string())
}

/// As people see ids: of a long hexadecimal one the beginning, without the namespace of containerd.
fn short(id: &str) -> &str {
    let last = id.rsplit('-').next().unwrap_or(id);
    if last.len() == 64 { last.get(..SHORT_ID).unwrap_or(last) } else { id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_one_interface_is_not_told_for_another() {
        let known =
            [("IgnoreUnknown", "1"), ("K8S_POD_NAME", "shop"), ("IP", "10.1.0.2"), ("MAC", "02:00:00:00:00:01")];
        let known = known.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let texts = |args: Vec<(String, String)>| args.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let told: Vec<String> = texts(args(&known, "shop"));
        assert_eq!(told, ["IgnoreUnknown=1", "K8S_POD_NAME=shop"]);
        let told: Vec<String> = texts(args(&[], "a;b"));
        assert_eq!(told, ["IgnoreUnknown=1"], "it would be two arguments");
    }

    #[test]
    fn ids_are_cut_as_people_see_them() {
        let hex = "ab".repeat(32);
        assert_eq!(short(&hex), "abababababab");
        assert_eq!(short(&format!("default-{hex}")), "abababababab");
        assert_eq!(short("default-web-12"), "default-web-12");
    }

    #[test]
    fn a_namespace_is_called_by_its_path() {
        assert_eq!(name_of_path(Path::new("/run/netns/x")), "x");
        assert_eq!(name_of_path(Path::new("/proc/12/ns/net")), "pid-12");
    }
}

//! What a container is called.

use cni_plugin::{ContainerId, Network};
use names::Name;

use crate::bundle::{self, Annotations};
use crate::{Config, Error};

/// How many characters of its id a container is found by, without being told to.
const SHORT_ID: usize = 12;

/// The names that a runtime gives a container.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: Option<Name>,
    pub(crate) aliases: Vec<Name>,
    pub(crate) pod_namespace: Option<Name>,
}

impl Identity {
    /// Podman, CRI and our own command pass the name in `CNI_ARGS`; nerdctl has it in the container's bundle. What cannot be a name
    /// is left out, and a note says so: the container runs all the same.
    pub(crate) fn of(network: &Network<Config>, container: &ContainerId) -> Result<Self, Error> {
        let [name, pod_namespace, hostname] =
            network.args.values(["K8S_POD_NAME", "K8S_POD_NAMESPACE", "NERDCTL_CNI_DHCP_HOSTNAME"])?;
        let aliases = network.config.runtime_config.aliases.get(network.name.as_str());
        let mut aliases = aliases.into_iter().flatten().flatten().cloned().collect();
        let mut name = name.map(str::to_owned);
        if name.is_none() {
            let annotations = bundle::annotations(container).unwrap_or_else(|error| {
                network.note(&format!("the container is known by its id only: {error}"));
                None
            });
            name = name_of_nerdctl(annotations, hostname, &mut aliases);
        }
        Ok(Self::new(container, name.as_deref(), &aliases, pod_namespace, |problem| network.note(problem)))
    }

    fn new(
        container: &ContainerId,
        name: Option<&str>,
        aliases: &[String],
        pod_namespace: Option<&str>,
        note: impl Fn(&str),
    ) -> Self {
        let valid =
            |text: &str| Name::new(text).map_err(|invalid| note(&format!("a name is left out: {invalid}"))).ok();
        let given = |text: &&str| !text.is_empty();
        let mut this = Self {
            name: name.filter(given).and_then(valid),
            aliases: Vec::new(),
            pod_namespace: pod_namespace.filter(given).and_then(valid),
        };
        for alias in aliases.iter().filter_map(|alias| valid(alias)) {
            let is_known = this.name.as_ref() == Some(&alias) || this.aliases.contains(&alias);
            if !is_known && !is_short_id(&alias, container) {
                this.aliases.push(alias);
            }
        }
        this
    }
}

/// nerdctl says the hostname as it asks DHCP for an address, and the rest in annotations.
fn name_of_nerdctl(
    annotations: Option<Annotations>,
    hostname: Option<&str>,
    aliases: &mut Vec<String>,
) -> Option<String> {
    let annotations = annotations.unwrap_or_default();
    let hostname = annotations.hostname.or_else(|| hostname.map(str::to_owned)).filter(|name| !name.is_empty());
    match annotations.name {
        Some(name) => {
            aliases.extend(hostname);
            aliases.extend(annotations.short_id);
            Some(name)
        }
        None => hostname.or(annotations.id),
    }
}

/// Everybody is found by it, so it is no alias.
fn is_short_id(alias: &Name, container: &ContainerId) -> bool {
    container.as_str().get(..SHORT_ID).is_some_and(|short| short.eq_ignore_ascii_case(alias.as_str()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn identity(name: &str, aliases: &[&str]) -> (Identity, Vec<String>) {
        let notes = RefCell::new(Vec::new());
        let aliases: Vec<_> = aliases.iter().map(|&alias| alias.to_owned()).collect();
        let note = |text: &str| notes.borrow_mut().push(text.to_owned());
        let identity = Identity::new(&ContainerId::new(ID).unwrap(), Some(name), &aliases, Some(""), note);
        (identity, notes.into_inner())
    }

    fn texts(names: &[Name]) -> Vec<&str> {
        names.iter().map(Name::as_str).collect()
    }

    #[test]
    fn a_name_is_said_once() {
        let (identity, notes) = identity("Web", &["www", "WWW", "web", "0123456789ab", "0123456789AB", "db"]);
        assert_eq!(identity.name.unwrap().as_str(), "web");
        assert_eq!(texts(&identity.aliases), ["www", "db"]);
        assert_eq!((identity.pod_namespace, notes.len()), (None, 0));
    }

    #[test]
    fn what_cannot_be_a_name_is_left_out() {
        let long = "l".repeat(64);
        let (identity, notes) = identity("a\nb", &["good", "", "..", &long, "a b", "é"]);
        assert_eq!((identity.name, texts(&identity.aliases)), (None, vec!["good"]));
        assert_eq!(notes.len(), 6);
        assert!(notes[0].contains("\"a\\nb\""), "{}", notes[0]);
    }

    #[test]
    fn nerdctl_says_it_in_annotations() {
        let annotations = || Annotations {
            name: Some("web".into()),
            hostname: Some("shop".into()),
            id: Some(ID.into()),
            short_id: Some("0123456789ab".into()),
        };
        let mut aliases = Vec::new();
        assert_eq!(name_of_nerdctl(Some(annotations()), Some("x"), &mut aliases).as_deref(), Some("web"));
        assert_eq!(aliases, ["shop", "0123456789ab"]);
        let unnamed = Annotations { name: None, hostname: None, ..annotations() };
        assert_eq!(name_of_nerdctl(Some(unnamed), None, &mut aliases).as_deref(), Some(ID));
        assert_eq!(name_of_nerdctl(None, Some("shop"), &mut aliases).as_deref(), Some("shop"));
        assert_eq!(name_of_nerdctl(None, Some(""), &mut aliases), None);
    }
}

//! What is left of containers that are gone?

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use ::names::Records;
use cni::{Attachment, NetworkName};
use host_local::{Holder, Owner};
use suite::Labelled as _;

use super::finding::{Finding, quote};
use super::survey::Survey;
use crate::failure::Failure;

/// How long an ADD or a DEL may take that is just under way.
const PATIENCE: Duration = Duration::from_secs(1);

/// Something that belongs to nothing alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leftover {
    /// A recorded attachment whose interface is gone.
    Record { attachment: Attachment, name: String },
    /// An address of nobody. An empty file is one too: a crash of the host leaves such.
    Reservation { network: NetworkName, folder: PathBuf, address: std::net::IpAddr, owner: Option<Owner> },
    /// A link with our label that nobody has recorded.
    Link { name: String, attachment: Attachment },
    /// Names of nobody.
    Names { attachment: Attachment },
}

pub(super) fn check(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    Ok(lasting(survey)?.iter().map(|leftover| leftover.finding(survey)).collect())
}

/// What is there at two looks: in between, a runtime may be attaching or detaching a container.
pub(super) fn lasting(survey: &Survey<'_>) -> Result<Vec<Leftover>, Failure> {
    let mut found = found(survey)?;
    if !found.is_empty() {
        thread::sleep(PATIENCE);
        let again = self::found(&Survey::of(survey.host)?)?;
        found.retain(|leftover| again.contains(leftover));
    }
    Ok(found)
}

/// What is there now, of the networks that were asked for.
pub(crate) fn found(survey: &Survey<'_>) -> Result<Vec<Leftover>, Failure> {
    let held = Held::of(survey);
    let mut found = records(survey);
    found.extend(reservations(survey, &held)?);
    found.extend(links(survey, &held));
    found.extend(names(&held)?);
    found.retain(|leftover| {
        survey.networks.iter().all(|known| known.wanted || known.network.name() != leftover.network())
    });
    Ok(found)
}

/// Who is known to be attached.
struct Held {
    recorded: BTreeSet<String>,
    /// Network and container, for old reservations that do not name the interface.
    containers: BTreeSet<(String, String)>,
    /// By the label of a link that is there.
    labelled: BTreeSet<String>,
}

impl Held {
    fn of(survey: &Survey<'_>) -> Self {
        let recorded: Vec<_> = survey.attached.iter().map(|seen| seen.connection.attachment()).collect();
        let key = |attachment: &Attachment| (attachment.network.to_string(), attachment.container.to_string());
        let labels = survey.links.iter().filter_map(|(link, _)| link.alias.clone());
        Self {
            containers: recorded.iter().map(key).collect(),
            recorded: recorded.iter().map(Attachment::label).collect(),
            labelled: labels.filter(|label| Attachment::from_label(label).is_some()).collect(),
        }
    }

    fn has(&self, network: &NetworkName, owner: &Owner) -> bool {
        let container = owner.container().clone();
        match owner.ifname().cloned() {
            Some(ifname) => {
                let label = Attachment { network: network.clone(), container, ifname }.label();
                self.recorded.contains(&label) || self.labelled.contains(&label)
            }
            None => self.containers.contains(&(network.to_string(), container.to_string())),
        }
    }
}

fn records(survey: &Survey<'_>) -> Vec<Leftover> {
    let dead = survey.attached.iter().filter(|seen| !seen.alive && seen.wanted).map(|seen| &seen.connection);
    dead.map(|dead| Leftover::Record { attachment: dead.attachment(), name: dead.name.clone() }).collect()
}

fn reservations(survey: &Survey<'_>, held: &Held) -> Result<Vec<Leftover>, Failure> {
    let mut found = Vec::new();
    for (network, folder) in folders(survey) {
        for (address, holder) in host_local::holders(&folder, &network)? {
            let owner = match holder {
                Holder::Owner(owner) if !held.has(&network, &owner) => Some(owner),
                Holder::Empty => None,
                Holder::Owner(_) | Holder::Free | Holder::Unknown => continue,
            };
            found.push(Leftover::Reservation { network: network.clone(), folder: folder.clone(), address, owner });
        }
    }
    Ok(found)
}

/// Where each network's reservations are, those of networks that are gone among them.
fn folders(survey: &Survey<'_>) -> BTreeMap<NetworkName, PathBuf> {
    let entries = std::fs::read_dir(host_local::DEFAULT_DATA_DIR).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| NetworkName::new(entry.file_name().to_str()?).ok());
    let mut folders: BTreeMap<_, _> = names.map(|name| (name, PathBuf::from(host_local::DEFAULT_DATA_DIR))).collect();
    for known in &survey.networks {
        if let Some(folder) = known.host_local().and_then(|config| config.data_dir().ok()) {
            folders.insert(known.network.name().clone(), folder);
        }
    }
    folders
}

/// A link that is no veth's end has lost its container already.
fn links(survey: &Survey<'_>, held: &Held) -> Vec<Leftover> {
    let labelled = survey.links.iter().filter_map(|(link, _)| {
        let attachment = Attachment::from_label(link.alias.as_deref()?)?;
        Some(Leftover::Link { name: link.name.clone(), attachment })
    });
    let is_unknown = |leftover: &Leftover| matches!(leftover, Leftover::Link { attachment, .. } if !held.recorded.contains(&attachment.label()));
    labelled.filter(is_unknown).collect()
}

/// Those of recorded containers go with their record.
fn names(held: &Held) -> Result<Vec<Leftover>, Failure> {
    let mut found = Vec::new();
    for (attachment, record) in Records::default().list()? {
        if !held.recorded.contains(&attachment.label()) && !record.namespace.exists()? {
            found.push(Leftover::Names { attachment });
        }
    }
    Ok(found)
}

impl Leftover {
    pub(crate) fn network(&self) -> &NetworkName {
        match self {
            Self::Record { attachment, .. } | Self::Link { attachment, .. } | Self::Names { attachment } => {
                &attachment.network
            }
            Self::Reservation { network, .. } => network,
        }
    }

    /// As metrics call it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Record { .. } => "attachment",
            Self::Reservation { .. } => "reservation",
            Self::Link { .. } => "link",
            Self::Names { .. } => "names",
        }
    }

    pub(super) fn holds_address_of(&self, network: &str) -> bool {
        self.network().as_str() == network && !matches!(self, Self::Link { .. } | Self::Names { .. })
    }

    /// What `--sweep` says that it has removed.
    pub(super) fn object(&self) -> String {
        match self {
            Self::Record { attachment, name } => {
                format!("container {name} ({} on network {})", attachment.ifname, attachment.network)
            }
            Self::Reservation { network, address, .. } => format!("address {address} of network {network}"),
            Self::Link { name, .. } => format!("link {name}"),
            Self::Names { attachment } => {
                format!(
                    "names of container {} ({} on network {})",
                    attachment.container, attachment.ifname, attachment.network
                )
            }
        }
    }

    fn finding(&self, survey: &Survey<'_>) -> Finding {
        let sweep = sweep(survey, self.network());
        let (problem, command) = match self {
            Self::Record { .. } => {
                ("it is gone, but still recorded, with what its network had made for it".to_owned(), sweep)
            }
            Self::Reservation { owner: Some(owner), .. } => {
                (format!("it is reserved for {owner}, which is not attached"), sweep)
            }
            Self::Reservation { owner: None, .. } => {
                ("it is reserved by an empty file, which names nobody".to_owned(), sweep)
            }
            Self::Link { name, attachment } => (
                format!(
                    "it was made for container {} ({} on network {}), which no runtime has recorded",
                    attachment.container, attachment.ifname, attachment.network
                ),
                format!("ip link delete {}", quote(name)),
            ),
            Self::Names { .. } => ("they are answered, and the container is gone".to_owned(), sweep),
        };
        Finding::new(self.object(), problem).mended_by(command)
    }
}

/// One that has no file cannot be named.
fn sweep(survey: &Survey<'_>, network: &NetworkName) -> String {
    match survey.network(network) {
        Some(_) => format!("ferrocni doctor --sweep {network}"),
        None => "ferrocni doctor --sweep".to_owned(),
    }
}

//! What a device carries as its alias while a container has it: whose it is, and what it was before.

use std::fmt;

use cni_plugin::{Attachment, IfName};
use netlink::{Link, MAX_ALIAS_LEN};
use suite::Labelled as _;

use crate::Error;

/// `ferrocni:<network>/<container>/<interface>/<name on the host>`, followed by `/<alias>` if the device had one.
///
/// An alias stays with the link wherever it goes, so this survives a plugin that was killed, a namespace that vanished (the
/// kernel gives its physical devices back to the host) and a new name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) attachment: Attachment,
    /// What the device is called on the host.
    pub(crate) name: IfName,
    /// What had been written there before.
    pub(crate) alias: String,
}

impl Mark {
    /// The mark for a device of the host that this attachment is to have.
    ///
    /// A device that carries a mark has not been given back properly: what it was before is what that says.
    pub(crate) fn new(attachment: &Attachment, device: &Link) -> Result<Self, Error> {
        let attachment = attachment.clone();
        let mark = match Self::of(device) {
            Some(earlier) => Self { attachment, ..earlier },
            None => {
                let name = IfName::new(&device.name).map_err(cni_plugin::Error::from)?;
                Self { attachment, name, alias: device.alias.clone().unwrap_or_default() }
            }
        };
        let length = mark.to_string().len();
        if length <= MAX_ALIAS_LEN { Ok(mark) } else { Err(Error::MarkTooLong { device: device.name.clone(), length }) }
    }

    /// The mark in a link's alias; `None` if the alias is something else.
    pub(crate) fn of(link: &Link) -> Option<Self> {
        Self::parse(link.alias.as_deref()?)
    }

    fn parse(alias: &str) -> Option<Self> {
        let (attachment, rest) = Attachment::split_label(alias)?;
        let (name, alias) = rest.map(|rest| rest.split_once('/').unwrap_or((rest, "")))?;
        Some(Self { attachment, name: IfName::new(name).ok()?, alias: alias.to_owned() })
    }

    /// What the reference's plugin writes: nothing but the name on the host.
    pub(crate) fn of_reference(link: &Link, attachment: &Attachment) -> Option<Self> {
        // No label is a name: none can hold a colon.
        let name = IfName::new(link.alias.as_deref()?).ok()?;
        Some(Self { attachment: attachment.clone(), name, alias: String::new() })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.attachment.label(), self.name)?;
        if self.alias.is_empty() { Ok(()) } else { write!(formatter, "/{}", self.alias) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back() {
        for (text, name, alias) in [
            ("ferrocni:net/c1/eth0/ens1", "ens1", ""),
            ("ferrocni:net/c1/eth0/ens1/uplink", "ens1", "uplink"),
            ("ferrocni:net/c1/eth0/ens1/rack 4/port 7", "ens1", "rack 4/port 7"),
        ] {
            let mark = Mark::parse(text).unwrap();
            assert_eq!((mark.name.as_str(), mark.alias.as_str()), (name, alias));
            assert_eq!(mark.attachment.label(), "ferrocni:net/c1/eth0");
            assert_eq!(mark.to_string(), text);
        }
    }

    #[test]
    fn other_aliases_are_no_marks() {
        for text in [
            "",
            "ens1",
            "ferrocni:net/c1/eth0",
            "ferrocni:net/c1/eth0/",
            "ferrocni:net/c1/eth0/a b",
            "ferrocni:net/c1",
            "x:net/c1/eth0/ens1",
        ] {
            assert_eq!(Mark::parse(text), None, "{text}");
        }
    }
}

use std::net::IpAddr;

use cni_plugin::{Attachment, Undo};
use ipnetwork::IpNetwork;
use iptables::Variant;
use iptables::masquerade::{self as by_iptables, Masquerade};
use nftables::{Claim, Element, Ruleset, reference};
use suite::Labelled as _;

use crate::{Backend, Error};

/// What an attachment has in the packet filter.
#[derive(Debug, Clone)]
pub struct Rules<'a> {
    /// Whose rules they are.
    pub attachment: &'a Attachment,
    /// The attachment's link on the host: without it the rules are stale.
    pub link: String,
    /// The container's addresses with their subnets' prefix lengths.
    pub addresses: Vec<IpNetwork>,
    /// What masquerades them; `None` where containers keep their addresses.
    pub masquerade: Option<Backend>,
    /// The addresses under which packets leave, of which each family's first one counts; for a family without, it is the host's on the
    /// way. With nftables alone.
    pub sources: Vec<IpAddr>,
    /// Elements that the plugin needs beside.
    pub others: Vec<Element>,
}

impl Rules<'_> {
    /// Puts the rules into the kernel: those of nftables in one transaction, those of iptables in one for each family.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn insert(self, undo: &mut Undo) -> Result<(), Error> {
        Claim::insert_all(self.claim().as_slice(), undo)?;
        self.insert_into_iptables(undo)
    }

    /// The part of [`Rules::insert`] that is none of ferrocni's ruleset, for who inserts the [`Rules::claim`] together with others.
    ///
    /// # Errors
    /// Those of iptables.
    pub fn insert_into_iptables(&self, undo: &mut Undo) -> Result<(), Error> {
        if self.masquerade == Some(Backend::Iptables) {
            let Attachment { network, container, .. } = self.attachment.clone();
            undo.push("remove the iptables rules", move || by_iptables::remove(network.as_str(), container.as_str()));
            by_iptables::add(&self.as_the_reference(), Variant::Default)?;
        }
        Ok(())
    }

    /// After the rules were flushed: adds what is to come back in ferrocni's ruleset to `claims`, and puts iptables' rules back.
    ///
    /// # Errors
    /// Those of iptables.
    pub fn restore(&self, claims: &mut Vec<Claim>) -> Result<(), Error> {
        claims.extend(self.claim());
        if self.masquerade == Some(Backend::Iptables) {
            by_iptables::add(&self.as_the_reference(), Variant::Default)?;
        }
        Ok(())
    }

    /// For CHECK: every rule is there and works.
    ///
    /// # Errors
    /// [`Error::Differs`] and [`Error::Iptables`] name the first one that does not; otherwise those of the backend.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(difference) = self.first_difference()? {
            return Err(Error::Differs { difference });
        }
        if self.masquerade == Some(Backend::Iptables) {
            by_iptables::check(&self.as_the_reference(), Variant::Default)?;
        }
        Ok(())
    }

    /// What is to be in ferrocni's ruleset.
    #[must_use]
    pub fn claim(&self) -> Option<Claim> {
        let elements = self.elements();
        let has_any = !elements.is_empty();
        has_any.then(|| Claim { label: self.attachment.label(), link: Some(self.link.clone()), elements })
    }

    fn elements(&self) -> Vec<Element> {
        let by_nftables = self.masquerade == Some(Backend::Nftables);
        let masquerades = self.addresses.iter().map(|address| self.source_nat(*address)).filter(|_| by_nftables);
        masquerades.chain(self.others.iter().cloned()).collect()
    }

    fn source_nat(&self, subnet: IpNetwork) -> Element {
        let address = subnet.ip();
        match self.sources.iter().find(|source| source.is_ipv4() == address.is_ipv4()) {
            Some(source) => Element::Snat { address, subnet, source: *source },
            None => Element::Masquerade { address, subnet },
        }
    }

    /// The first element that is neither there nor the reference's doing.
    fn first_difference(&self) -> Result<Option<String>, Error> {
        let mut elements = self.elements();
        if self.first_missing(&elements)?.is_some() {
            for element in std::mem::take(&mut elements) {
                if !self.is_done_by_the_reference(&element)? {
                    elements.push(element);
                }
            }
        }
        self.first_missing(&elements)
    }

    fn first_missing(&self, elements: &[Element]) -> Result<Option<String>, Error> {
        if elements.is_empty() {
            return Ok(None);
        }
        let missing = Ruleset::open()?.missing(&self.attachment.label(), elements)?;
        Ok(missing.first().map(ToString::to_string))
    }

    /// Attached before this suite was installed, a container has the reference's rules, which work as well as ever.
    fn is_done_by_the_reference(&self, element: &Element) -> Result<bool, Error> {
        match element {
            Element::Masquerade { .. } => Ok(by_iptables::check(&self.as_the_reference(), Variant::Default).is_ok()
                || reference::masquerades(self.attachment)?),
            Element::Mac { mac, .. } => Ok(reference::guards(self.attachment, *mac)?),
            _ => Ok(false),
        }
    }

    fn as_the_reference(&self) -> Masquerade<'_> {
        Masquerade {
            network: self.attachment.network.as_str(),
            container: self.attachment.container.as_str(),
            addresses: &self.addresses,
        }
    }
}

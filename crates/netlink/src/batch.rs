use crate::address::{self, AddressSpec};
use crate::error::{Error, Result};
use crate::link::{self, LinkChange, PortVlans, bridge_vlan};
use crate::link_ref::LinkRef;
use crate::neighbour::{self, Forwarding, Neighbour};
use crate::outgoing::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Outgoing};
use crate::route::{self, Route};
use crate::rule::{self, MarkRule, Rule};
use crate::socket::Socket;
use crate::traffic_control::{self, TokenBucket};

use ipnetwork::IpNetwork;

/// Several requests that cost one `send` and, when all goes well, one `recv`.
///
/// The kernel carries them out in order and acknowledges the last; a refusal is always reported. It does
/// *not* stop at a refusal: the requests after it are still tried, and [`Batch::send`] returns the first
/// refusal, which names its request.
///
/// A request that can be seen to be wrong (a name of 16 bytes) makes `send` fail before anything is sent.
#[derive(Debug)]
#[must_use = "nothing happens before send()"]
pub struct Batch<'a> {
    socket: &'a mut Socket,
    outgoing: Outgoing,
    invalid: Option<Error>,
}

impl Socket {
    /// Starts a batch: several requests sent, answered and paid for as one.
    pub fn batch(&mut self) -> Batch<'_> {
        Batch { socket: self, outgoing: Outgoing::default(), invalid: None }
    }

    /// Changes a link; see [`LinkChange`].
    ///
    /// # Errors
    /// [`Error::LinkNotFound`], or the kernel's refusal.
    pub fn change_link(&mut self, link: impl Into<LinkRef>, change: &LinkChange<'_>) -> Result<()> {
        self.batch().change_link(link, change).send()
    }

    /// Adds an address to a link; see [`Batch::add_address`].
    ///
    /// # Errors
    /// [`Error::is_exists`] if the link has it, or the kernel's refusal.
    pub fn add_address(&mut self, address: &AddressSpec) -> Result<()> {
        self.batch().add_address(address).send()
    }

    /// Deletes an address from the link with index `link`.
    ///
    /// # Errors
    /// [`Error::is_not_found`] if the link is gone or has no such address.
    pub fn delete_address(&mut self, link: u32, network: IpNetwork) -> Result<()> {
        self.batch().delete_address(link, network).send()
    }

    /// Adds a route; see [`Batch::add_route`].
    ///
    /// # Errors
    /// [`Error::is_exists`] if there is one, or the kernel's refusal.
    pub fn add_route(&mut self, route: &Route) -> Result<()> {
        self.batch().add_route(route).send()
    }

    /// Deletes a route; see [`Batch::delete_route`].
    ///
    /// # Errors
    /// [`Error::is_not_found`] if there is none.
    pub fn delete_route(&mut self, route: &Route) -> Result<()> {
        self.batch().delete_route(route).send()
    }
}

impl Batch<'_> {
    /// Sends the requests and waits for their outcome. An empty batch costs nothing.
    ///
    /// # Errors
    /// The first request that was refused.
    pub fn send(&mut self) -> Result<()> {
        if let Some(error) = self.invalid.take() {
            return Err(error);
        }
        let mut outgoing = std::mem::take(&mut self.outgoing);
        if outgoing.is_empty() {
            return Ok(());
        }
        self.socket.transact(&mut outgoing, &mut |_echo| Ok(()))
    }

    /// Changes a link; see [`LinkChange`].
    pub fn change_link(&mut self, link: impl Into<LinkRef>, change: &LinkChange<'_>) -> &mut Self {
        let pushed = link::push_change(&mut self.outgoing, &link.into(), change);
        self.note(pushed)
    }

    /// Sets a link up (`IFF_UP`). Whether it can carry packets then is another matter: see [`crate::Link::running`].
    pub fn set_up(&mut self, link: impl Into<LinkRef>) -> &mut Self {
        self.change_link(link, &LinkChange { up: Some(true), ..LinkChange::default() })
    }

    /// Sets a link down (`IFF_UP`). The kernel removes the routes over it.
    pub fn set_down(&mut self, link: impl Into<LinkRef>) -> &mut Self {
        self.change_link(link, &LinkChange { up: Some(false), ..LinkChange::default() })
    }

    /// Deletes a link, and with it its peer, addresses and routes.
    pub fn delete_link(&mut self, link: impl Into<LinkRef>) -> &mut Self {
        let pushed = link::push_delete(&mut self.outgoing, &link.into());
        self.note(pushed)
    }

    /// Lets the bridge port with index `port` into VLANs, or changes how it is in them; it stays in all others.
    pub fn add_port_vlans(&mut self, port: u32, vlans: &[PortVlans]) -> &mut Self {
        bridge_vlan::push_add(&mut self.outgoing, port, vlans);
        self
    }

    /// Takes the bridge port with index `port` out of a VLAN, if it is in it.
    pub fn delete_port_vlan(&mut self, port: u32, id: u16) -> &mut Self {
        bridge_vlan::push_delete(&mut self.outgoing, port, id);
        self
    }

    /// Adds an address; refused with EEXIST ([`Error::is_exists`]) if the link has it.
    pub fn add_address(&mut self, address: &AddressSpec) -> &mut Self {
        address::push_add(&mut self.outgoing, address, NLM_F_CREATE | NLM_F_EXCL);
        self
    }

    /// Adds an address, or leaves it as it is if the link has it.
    pub fn ensure_address(&mut self, address: &AddressSpec) -> &mut Self {
        address::push_add(&mut self.outgoing, address, NLM_F_CREATE | NLM_F_REPLACE);
        self
    }

    /// Deletes an address from the link with index `link`.
    pub fn delete_address(&mut self, link: u32, network: IpNetwork) -> &mut Self {
        address::push_delete(&mut self.outgoing, link, network);
        self
    }

    /// Adds a route beside others to the same destination. In IPv4 the newest wins; in IPv6 those of the same priority share
    /// the traffic. Refused with EEXIST ([`Error::is_exists`]) only if the same route is there already.
    pub fn add_parallel_route(&mut self, route: &Route) -> &mut Self {
        let pushed = route::push_add(&mut self.outgoing, route, NLM_F_CREATE);
        self.note(pushed)
    }

    /// Adds a route; refused with EEXIST ([`Error::is_exists`]) if there is one with the same destination,
    /// priority and table.
    pub fn add_route(&mut self, route: &Route) -> &mut Self {
        let pushed = route::push_add(&mut self.outgoing, route, NLM_F_CREATE | NLM_F_EXCL);
        self.note(pushed)
    }

    /// Adds a route, or puts it in the place of one with the same destination, priority and table.
    pub fn replace_route(&mut self, route: &Route) -> &mut Self {
        let pushed = route::push_add(&mut self.outgoing, route, NLM_F_CREATE | NLM_F_REPLACE);
        self.note(pushed)
    }

    /// Deletes the first route that agrees with what `route` sets.
    pub fn delete_route(&mut self, route: &Route) -> &mut Self {
        let pushed = route::push_delete(&mut self.outgoing, route);
        self.note(pushed)
    }

    /// Adds a permanent neighbour, or puts it in the place of one with the same address.
    pub fn set_neighbour(&mut self, entry: &Neighbour) -> &mut Self {
        neighbour::push_neighbour(&mut self.outgoing, entry, NLM_F_CREATE | NLM_F_REPLACE);
        self
    }

    /// Deletes the neighbour with that address.
    pub fn delete_neighbour(&mut self, entry: &Neighbour) -> &mut Self {
        neighbour::push_delete_neighbour(&mut self.outgoing, entry);
        self
    }

    /// Adds a permanent forwarding entry to a VXLAN device, or puts it in the place of one for the same Ethernet address.
    pub fn set_forwarding(&mut self, entry: &Forwarding) -> &mut Self {
        neighbour::push_forwarding(&mut self.outgoing, entry, NLM_F_CREATE | NLM_F_REPLACE);
        self
    }

    /// Deletes a forwarding entry.
    pub fn delete_forwarding(&mut self, entry: &Forwarding) -> &mut Self {
        neighbour::push_delete_forwarding(&mut self.outgoing, entry);
        self
    }

    /// Adds a rule; refused with EEXIST ([`Error::is_exists`]) if there is the same one with the same priority. One without
    /// a priority gets one of its own, and so is always another.
    pub fn add_rule(&mut self, rule: &Rule) -> &mut Self {
        rule::push_add(&mut self.outgoing, rule, NLM_F_CREATE | NLM_F_EXCL);
        self
    }

    /// Deletes the first rule that agrees with what `rule` sets.
    pub fn delete_rule(&mut self, rule: &Rule) -> &mut Self {
        rule::push_delete(&mut self.outgoing, rule);
        self
    }

    /// Adds a rule that goes by marks; refused with EEXIST ([`Error::is_exists`]) if it is there.
    pub fn add_mark_rule(&mut self, rule: &MarkRule) -> &mut Self {
        rule::push_add_mark(&mut self.outgoing, rule, NLM_F_CREATE | NLM_F_EXCL);
        self
    }

    /// Deletes such a rule.
    pub fn delete_mark_rule(&mut self, rule: &MarkRule) -> &mut Self {
        rule::push_delete_mark(&mut self.outgoing, rule);
        self
    }

    /// Limits how fast the link with index `link` sends; refused with EEXIST ([`Error::is_exists`]) if it was given
    /// a queueing discipline.
    pub fn limit_rate(&mut self, link: u32, bucket: &TokenBucket) -> &mut Self {
        traffic_control::push_token_bucket(&mut self.outgoing, link, bucket);
        self
    }

    /// Takes a link's limit away.
    pub fn remove_limit(&mut self, link: u32) -> &mut Self {
        traffic_control::push_remove_limit(&mut self.outgoing, link);
        self
    }

    /// Gives a link an ingress discipline, which is where filters for what it receives are; refused with EEXIST
    /// ([`Error::is_exists`]) if there is one.
    pub fn add_ingress(&mut self, link: u32) -> &mut Self {
        traffic_control::push_add_ingress(&mut self.outgoing, link, "ingress");
        self
    }

    /// Lets the link with index `to` send what the link with index `link` receives, before the stack sees it (`ifb`). Needs an
    /// ingress discipline.
    pub fn redirect_ingress(&mut self, link: u32, to: u32) -> &mut Self {
        traffic_control::push_redirect_ingress(&mut self.outgoing, link, to);
        self
    }

    /// Takes away what [`Batch::redirect_ingress`] did.
    pub fn remove_redirection(&mut self, link: u32) -> &mut Self {
        traffic_control::push_remove_redirection(&mut self.outgoing, link);
        self
    }

    /// Takes a link's ingress discipline away, with all filters.
    pub fn remove_ingress(&mut self, link: u32) -> &mut Self {
        traffic_control::push_remove_ingress(&mut self.outgoing, link);
        self
    }

    fn note(&mut self, pushed: Result<()>) -> &mut Self {
        if let Err(error) = pushed {
            self.invalid.get_or_insert(error);
        }
        self
    }
}

//! Published ports on 127.0.0.1.
//!
//! The kernel drops packets from 127.0.0.1 that leave through a real interface, unless `route_localnet` allows it there.
//! That would also let neighbours on that interface reach services on the host's loopback (CVE-2020-8558), so it is switched
//! on only behind the ruleset's filter, which drops what comes from or goes to 127.0.0.0/8 and did not start on `lo`.

use std::net::IpAddr;

use netlink::Socket;
use nftables::Ruleset;

use crate::Error;
use crate::published::Published;

/// Lets the host reach published ports through 127.0.0.1.
pub(crate) fn open(published: &Published<'_>) -> Result<(), Error> {
    let Some(address) = published.serving().map(|target| target.address.ip()).find(IpAddr::is_ipv4) else {
        return Ok(());
    };
    if !published.config.snat {
        return Ok(());
    }
    let mut socket = Socket::open()?;
    let Some(link) = socket.route_to(address)?.link else { return Ok(()) };
    let link = socket.link(link)?;
    if sysctl::read(&["ipv4", "conf", &link.name, "route_localnet"])? != "1" {
        // A ruleset that somebody damaged is no filter.
        Ruleset::open()?.repair(&published.attachment.label(), &[])?;
        sysctl::write(&["ipv4", "conf", &link.name, "route_localnet"], "1")?;
    }
    Ok(())
}

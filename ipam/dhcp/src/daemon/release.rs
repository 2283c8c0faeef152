//! Giving an address back: no answer is needed, and it does not take long.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV6};
use std::time::Duration;

use super::channel::{Channel, Way};
use super::place::{Inside, PlaceError};
use crate::lease::Lease;
use crate::{v4, v6};

/// How long the server's hardware address may take to be found out. The interface is deleted after this, and what has not
/// been sent with it.
const NEIGHBOUR: Duration = Duration::from_millis(300);
/// How long a DHCPv6 server may take to confirm before it is told again.
const ANSWER: Duration = Duration::from_millis(250);
const ATTEMPTS: usize = 2;

/// From the leased address to the server (RFC 2131, section 4.4.4): a server does not heed it from any other. If the
/// interface has not got the address, because its ADD failed, or has lost it, the same is broadcast on the link.
pub(super) async fn v4(
    mut inside: Inside,
    client: &v4::Client<'_>,
    lease: &Lease,
    transaction: u32,
) -> Result<(), PlaceError> {
    let IpAddr::V4(address) = lease.settings.address.ip() else { return Ok(()) };
    let channel = match Channel::open(&mut inside, Way::From(address)) {
        Err(PlaceError::Io(_, error)) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
            Channel::open(&mut inside, Way::Unaddressed)?
        }
        channel => channel?,
    };
    let server = (v4::server_address(&lease.server), v4::SERVER_PORT).into();
    send(&channel, &client.release(transaction, lease), address, server)?;
    let mut pause = Duration::from_millis(1);
    let mut waited = Duration::ZERO;
    while !channel.is_idle() && waited < NEIGHBOUR {
        tokio::time::sleep(pause).await;
        waited += pause;
        pause *= 2;
    }
    Ok(())
}

pub(super) async fn v6(
    mut inside: Inside,
    client: &v6::Client<'_>,
    lease: &Lease,
    transaction: u32,
) -> Result<(), PlaceError> {
    let channel = Channel::open(&mut inside, Way::LinkLocal)?;
    let servers = SocketAddrV6::new(v6::SERVERS, v6::SERVER_PORT, 0, inside.link.index).into();
    let message = client.release(transaction, lease);
    for _ in 0..ATTEMPTS {
        send(&channel, &message, Ipv4Addr::UNSPECIFIED, servers)?;
        let answer = async {
            loop {
                match channel.receive().await {
                    Ok(bytes) if !client.is_answer(&bytes, transaction) => {}
                    outcome => return outcome,
                }
            }
        };
        if tokio::time::timeout(ANSWER, answer).await.is_ok() {
            break;
        }
    }
    Ok(())
}

fn send(channel: &Channel, bytes: &[u8], from: Ipv4Addr, to: std::net::SocketAddr) -> Result<(), PlaceError> {
    channel.send(bytes, from, to).map_err(|error| PlaceError::Io("send a release", error))
}

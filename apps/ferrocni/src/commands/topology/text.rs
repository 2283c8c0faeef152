//! What is the same in every picture: how names, ports and marks are written.

use super::graph::{Graph, Link, Network};
use crate::attachments::PortMapping;

/// A text from outside, so that nothing of it does anything but show: a control character, or one that turns the direction of
/// writing, is written as its number.
pub(super) fn visible(text: &str) -> String {
    text.chars()
        .map(|character| if acts(character) { character.escape_unicode().to_string() } else { character.to_string() })
        .collect()
}

/// The last two of a plane are no characters, and XML takes none of them.
fn acts(character: char) -> bool {
    let invisible = matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}');
    character.is_control() || invisible || u32::from(character) & 0xfffe == 0xfffe
}

/// Published ports: `8080→80/tcp`, `*:8080→80/tcp` if every host answers, and neighbours together: `8000-8009→80-89/tcp`.
pub(super) fn ports(ports: &[PortMapping]) -> Vec<String> {
    let mut ports: Vec<_> = ports.iter().collect();
    ports.sort_by_key(|port| (&port.protocol, &port.host_ip, port.host_port, port.container_port));
    ports.dedup();
    let runs = ports.chunk_by(|one, next| follows(one, next));
    runs.filter_map(|run| Some(port_range(run.first()?, run.last()?))).collect()
}

fn follows(one: &PortMapping, next: &PortMapping) -> bool {
    let step = |before: u16, after: u16| before.checked_add(1) == Some(after);
    (&one.protocol, &one.host_ip, one.ingress) == (&next.protocol, &next.host_ip, next.ingress)
        && step(one.host_port, next.host_port)
        && step(one.container_port, next.container_port)
}

fn port_range(first: &PortMapping, last: &PortMapping) -> String {
    let range = |first: u16, last: u16| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let address = match first.host_ip.as_str() {
        _ if first.ingress => "*:".to_owned(),
        "" => String::new(),
        address if address.contains(':') => format!("[{address}]:"),
        address => format!("{address}:"),
    };
    let (outside, inside) = (range(first.host_port, last.host_port), range(first.container_port, last.container_port));
    visible(&format!("{address}{outside}→{inside}/{}", first.protocol))
}

/// What a link is, in a word or two.
pub(super) fn kind(link: &Link) -> String {
    match (link.vlan, link.kind.as_str()) {
        (Some(tag), _) => format!("VLAN {tag}"),
        (None, kind) => visible(kind),
    }
}

/// What else is to be said of a link.
pub(super) fn marks_of_link(link: &Link) -> Vec<String> {
    let master = link.master.as_ref().map(|master| format!("in {}", visible(master)));
    let marks = [(!link.up).then(|| "down".to_owned()), master];
    marks.into_iter().flatten().collect()
}

/// What else is to be said of a network.
pub(super) fn marks_of_network(graph: &Graph, network: &Network) -> Vec<String> {
    let is_there = |name: &str| graph.host.links.iter().any(|link| link.name == name);
    let missing = network.interface.as_deref().filter(|name| !is_there(name));
    let marks = [
        network.internal.then(|| "internal".to_owned()),
        network.driver.is_empty().then(|| "its configuration is gone".to_owned()),
        missing.map(|name| format!("{} is not there yet", visible(name))),
    ];
    marks.into_iter().flatten().collect()
}

/// What the picture leaves out.
pub(super) fn note(graph: &Graph) -> Option<String> {
    match graph.dead {
        0 => None,
        1 => Some("1 attachment is not shown: its container is gone".to_owned()),
        count => Some(format!("{count} attachments are not shown: their containers are gone")),
    }
}

pub(super) fn subnets(network: &Network) -> Vec<String> {
    network.subnets.iter().map(|subnet| visible(&subnet.subnet)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(host_ip: &str, host_port: u16, container_port: u16, protocol: &str) -> PortMapping {
        PortMapping {
            host_port,
            container_port,
            protocol: protocol.to_owned(),
            host_ip: host_ip.to_owned(),
            ingress: false,
        }
    }

    #[test]
    fn neighbouring_ports_are_one_range() {
        let published = [
            port("", 8001, 81, "tcp"),
            port("", 8000, 80, "tcp"),
            port("", 8002, 90, "tcp"),
            port("", 53, 53, "udp"),
            port("127.0.0.1", 8003, 91, "tcp"),
            port("::1", 9, 9, "tcp"),
            port("", 8000, 80, "tcp"),
            PortMapping { ingress: true, ..port("", 8010, 80, "tcp") },
        ];
        let written = [
            "8000-8001→80-81/tcp",
            "8002→90/tcp",
            "*:8010→80/tcp",
            "127.0.0.1:8003→91/tcp",
            "[::1]:9→9/tcp",
            "53→53/udp",
        ];
        assert_eq!(ports(&published), written);
        assert_eq!(ports(&[port("", 65535, 1, "tcp"), port("", 1, 2, "tcp")]), ["1→2/tcp", "65535→1/tcp"]);
    }

    #[test]
    fn what_would_do_something_is_written_as_its_number() {
        assert_eq!(visible("a\u{1b}[31m\n\u{202e}b\u{ffff}é網"), "a\\u{1b}[31m\\u{a}\\u{202e}b\\u{ffff}é網");
    }
}

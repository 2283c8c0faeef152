//! A flowchart in Mermaid's language, which GitHub, GitLab and others show in Markdown.

use super::graph::{Attached, Container, Graph, Link, Network};
use super::text::{kind, marks_of_link, marks_of_network, note, ports, subnets, visible};

/// Mermaid's own limits, which GitHub keeps (`maxTextSize`, `maxEdges`).
const MAX_TEXT: usize = 50_000;
const MAX_EDGES: usize = 500;

/// An edge that has no direction.
const EDGE: &str = " --- ";

/// Only lines are coloured, because the page may be light or dark.
const CLASSES: &str = "  classDef way stroke:#2da44e,stroke-width:2px
  classDef network stroke:#0969da,stroke-width:2px
  classDef published stroke:#bf8700,stroke-width:2px
";

pub(super) fn draw(graph: &Graph) -> String {
    let mut chart = format!("flowchart LR\n  subgraph host[\"{}\"]\n", escaped(&graph.host.name));
    push_links(&mut chart, graph);
    push_networks(&mut chart, graph);
    chart.push_str("  end\n");
    push_containers(&mut chart, graph);
    chart.push_str(CLASSES);
    chart.extend(note(graph).map(|note| format!("  %% {note}\n")));
    chart
}

/// What carries others is on the left: the parent of a VLAN, the port of a bridge.
fn push_links(chart: &mut String, graph: &Graph) {
    let number_of = |name: &Option<String>| number_of_link(graph, name.as_deref()?);
    for (number, link) in graph.host.links.iter().enumerate() {
        chart.push_str(&format!("    l{number}{}\n", link_node(link)));
    }
    for (number, link) in graph.host.links.iter().enumerate() {
        if let Some(parent) = number_of(&link.parent) {
            chart.push_str(&format!("    l{parent}{EDGE}l{number}\n"));
        }
        if let Some(master) = number_of(&link.master) {
            chart.push_str(&format!("    l{number}{EDGE}l{master}\n"));
        }
    }
}

fn push_networks(chart: &mut String, graph: &Graph) {
    for (number, network) in graph.networks.iter().enumerate() {
        chart.push_str(&format!("    n{number}{}\n", network_node(graph, network)));
        if let Some(link) = network.interface.as_deref().and_then(|name| number_of_link(graph, name)) {
            chart.push_str(&format!("    l{link}{EDGE}n{number}\n"));
        }
    }
}

fn push_containers(chart: &mut String, graph: &Graph) {
    let number_of = |name: &str| graph.networks.iter().position(|network| network.name == name);
    for (number, container) in graph.containers.iter().enumerate() {
        chart.push_str(&format!("  c{number}{}\n", container_node(container)));
        for attached in &container.attachments {
            if let Some(network) = number_of(&attached.network) {
                chart.push_str(&format!("  n{network} -- \"{}\"{EDGE}c{number}\n", edge_label(attached)));
            }
        }
    }
}

/// What is too much for a page on GitHub.
pub(super) fn exceeded(chart: &str) -> Option<String> {
    let edges = chart.lines().filter(|line| line.contains(EDGE)).count();
    match chart.chars().count() {
        _ if edges > MAX_EDGES => Some(format!("{edges} lines, and {MAX_EDGES} are the most")),
        length if length > MAX_TEXT => Some(format!("{length} characters, and {MAX_TEXT} are the most")),
        _ => None,
    }
}

fn number_of_link(graph: &Graph, name: &str) -> Option<usize> {
    graph.host.links.iter().position(|link| link.name == name)
}

fn link_node(link: &Link) -> String {
    let mut lines = vec![link.name.clone(), kind(link)];
    lines.extend(link.addresses.iter().cloned());
    lines.extend(link.default_route.then(|| "default route".to_owned()));
    lines.extend(marks_of_link(link));
    node("[", &lines, "]", link.default_route.then_some("way"))
}

fn network_node(graph: &Graph, network: &Network) -> String {
    let mut lines = vec![network.name.clone(), network.driver.clone()];
    lines.extend(subnets(network));
    lines.extend(marks_of_network(graph, network));
    node("([", &lines, "])", Some("network"))
}

fn container_node(container: &Container) -> String {
    let mut lines = vec![container.name.clone(), container.runtime.unwrap_or_default().to_owned()];
    lines.extend(ports(&container.ports));
    node("[", &lines, "]", (!container.ports.is_empty()).then_some("published"))
}

fn edge_label(attached: &Attached) -> String {
    let lines = std::iter::once(&attached.interface).chain(&attached.addresses).chain(&attached.aliases);
    lines.map(|line| escaped(line)).collect::<Vec<_>>().join("<br/>")
}

fn node(open: &str, lines: &[String], close: &str, class: Option<&str>) -> String {
    let lines: Vec<_> = lines.iter().filter(|line| !line.is_empty()).map(|line| escaped(line)).collect();
    let class = class.map(|class| format!(":::{class}")).unwrap_or_default();
    format!("{open}\"{}\"{close}{class}", lines.join("<br/>"))
}

/// Everything that may mean something to Mermaid, to Markdown or in HTML is written as the number of its character. A list
/// would begin with a sign or a number and a space.
fn escaped(text: &str) -> String {
    let is_plain =
        |character: char| character.is_alphanumeric() || matches!(character, '-' | '.' | ':' | '/' | '→' | ',');
    let mut escaped = String::new();
    for character in visible(text).chars() {
        match character {
            plain if is_plain(plain) => escaped.push(plain),
            other => escaped.push_str(&format!("#{};", u32::from(other))),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::sample::{container, hostile, small};
    use super::*;

    const SMALL: &str = r#"flowchart LR
  subgraph host["node1"]
    l0["eth0<br/>192.0.2.10/24<br/>2001:db8::10/64<br/>default#32;route"]:::way
    l1["eth1<br/>down<br/>in#32;br1"]
    l2["br0<br/>bridge<br/>10.0.0.1/24"]
    l3["br1<br/>bridge"]
    l4["eth0.20<br/>VLAN#32;20"]
    l1 --- l3
    l0 --- l4
    n0(["back<br/>bridge<br/>10.1.0.0/24<br/>fd00:1::/64<br/>internal"]):::network
    l3 --- n0
    n1(["front<br/>bridge<br/>10.0.0.0/24"]):::network
    l2 --- n1
    n2(["lan<br/>macvlan<br/>10.2.0.0/24"]):::network
    l4 --- n2
    n3(["new<br/>bridge<br/>10.9.0.0/24<br/>br9#32;is#32;not#32;there#32;yet"]):::network
  end
  c0["db"]
  n0 -- "eth0<br/>10.1.0.2/24<br/>fd00:1::2/64" --- c0
  c1["printer"]
  n2 -- "eth0<br/>10.2.0.7/24" --- c1
  c2["web<br/>podman<br/>8080→80/tcp<br/>8443→443/tcp"]:::published
  n1 -- "eth0<br/>10.0.0.3/24" --- c2
  n0 -- "eth1<br/>10.1.0.3/24<br/>fd00:1::3/64<br/>shop<br/>www" --- c2
  classDef way stroke:#2da44e,stroke-width:2px
  classDef network stroke:#0969da,stroke-width:2px
  classDef published stroke:#bf8700,stroke-width:2px
  %% 2 attachments are not shown: their containers are gone
"#;

    #[test]
    fn a_flowchart_shows_each_container_once_and_each_interface_as_an_edge() {
        assert_eq!(draw(&small()), SMALL);
    }

    #[test]
    fn a_name_cannot_leave_its_node() {
        assert_eq!(escaped("a\"]; end"), "a#34;#93;#59;#32;end");
        assert_eq!(escaped("1. <b>`_*#&\n"), "1.#32;#60;b#62;#96;#95;#42;#35;#38;#92;u#123;a#125;");
        let chart = draw(&hostile());
        assert_eq!(chart.lines().count(), SMALL.lines().count());
        assert!(!chart.replace("<br/>", "").contains(['<', '`', '\u{1b}', '\u{202e}']), "{chart}");
    }

    #[test]
    fn what_is_too_much_for_a_page_is_told() {
        let mut graph = small();
        assert_eq!(exceeded(&draw(&graph)), None);
        graph.containers = (0..500).map(|number| container(&format!("c{number}"), &[("front", &[])], &[])).collect();
        assert_eq!(exceeded(&draw(&graph)), Some("505 lines, and 500 are the most".to_owned()));
        graph.containers =
            (0..200).map(|number| container(&format!("{number}{}", "c".repeat(300)), &[("front", &[])], &[])).collect();
        assert!(exceeded(&draw(&graph)).is_some_and(|limit| limit.contains("50000 are the most")));
    }
}

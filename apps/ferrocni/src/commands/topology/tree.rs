//! The tree for the terminal.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::graph::{Attached, Container, Graph, Link, Network};
use super::text::{kind, marks_of_link, marks_of_network, note, ports, subnets, visible};

/// What the reader's screen can show. Without one, everything is written, and plainly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Screen {
    pub(super) is_colored: bool,
    /// In characters; longer lines are cut.
    pub(super) width: Option<usize>,
}

/// How a piece of a line looks (ECMA-48, "Select Graphic Rendition").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Plain,
    Faint,
    Strong,
    Network,
    Port,
    Way,
}

impl Look {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Faint => "2",
            Self::Strong => "1",
            Self::Network => "1;36",
            Self::Port => "33",
            Self::Way => "32",
        }
    }
}

type Piece = (String, Look);

/// A line with those below it. A cell may have pieces of several looks.
struct Node {
    cells: Vec<Vec<Piece>>,
    children: Vec<Node>,
}

/// Spaces between columns.
const GAP: usize = 2;

pub(super) fn draw(graph: &Graph, screen: Screen) -> String {
    let mut lines = vec![vec![(visible(&graph.host.name), Look::Strong)]];
    let mut roots = links_on(graph, None);
    roots.extend(graph.networks_elsewhere().map(|network| of_network(graph, network)));
    push_all(&mut lines, "", &roots);
    if let Some(note) = note(graph) {
        lines.push(vec![(note, Look::Faint)]);
    }
    lines.iter().map(|line| written(line, screen) + "\n").collect()
}

fn links_on(graph: &Graph, parent: Option<&str>) -> Vec<Node> {
    graph.links_on(parent).map(|link| of_link(graph, link)).collect()
}

fn of_link(graph: &Graph, link: &Link) -> Node {
    let mut children = links_on(graph, Some(&link.name));
    children.extend(graph.networks_on(&link.name).map(|network| of_network(graph, network)));
    let mut marks = Vec::new();
    if link.default_route {
        marks.push(("default route".to_owned(), Look::Way));
    }
    marks.extend(marks_of_link(link).into_iter().map(|mark| (mark, Look::Faint)));
    let addresses = link.addresses.join(", ");
    let cells = vec![
        vec![(visible(&link.name), Look::Strong)],
        vec![(kind(link), Look::Faint)],
        vec![(addresses, Look::Plain)],
        separated(marks),
    ];
    Node { cells, children }
}

fn of_network(graph: &Graph, network: &Network) -> Node {
    let marks = marks_of_network(graph, network).into_iter().map(|mark| (mark, Look::Faint));
    let cells = vec![
        vec![("network ".to_owned(), Look::Faint), (visible(&network.name), Look::Network)],
        vec![(visible(&network.driver), Look::Faint)],
        vec![(subnets(network).join(", "), Look::Plain)],
        separated(marks.collect()),
    ];
    let containers = graph.attached_to(&network.name);
    Node { cells, children: containers.map(|(container, attached)| of_container(container, attached)).collect() }
}

fn of_container(container: &Container, attached: &Attached) -> Node {
    let mut marks: Vec<Piece> = ports(&container.ports).into_iter().map(|port| (port, Look::Port)).collect();
    if !attached.aliases.is_empty() {
        let aliases: Vec<_> = attached.aliases.iter().map(|alias| visible(alias)).collect();
        marks.push((format!("also called {}", aliases.join(", ")), Look::Faint));
    }
    let others: Vec<_> =
        container.networks().into_iter().filter(|name| *name != attached.network).map(visible).collect();
    if !others.is_empty() {
        marks.push((format!("also on {}", others.join(", ")), Look::Faint));
    }
    let cells = vec![
        vec![(visible(&container.name), Look::Plain)],
        vec![(visible(&attached.interface), Look::Faint)],
        vec![(attached.addresses.join(", "), Look::Plain)],
        vec![(container.runtime.unwrap_or_default().to_owned(), Look::Faint)],
        separated(marks),
    ];
    Node { cells, children: Vec::new() }
}

fn separated(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut separated = Vec::new();
    for piece in pieces {
        if !separated.is_empty() {
            separated.push((", ".to_owned(), Look::Faint));
        }
        separated.push(piece);
    }
    separated
}

/// Lines of siblings are aligned, and after each are those below it.
fn push_all(lines: &mut Vec<Vec<Piece>>, before: &str, siblings: &[Node]) {
    let widths = widths(siblings);
    for (number, node) in siblings.iter().enumerate() {
        let (branch, stem) = if number + 1 == siblings.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let mut line = vec![(format!("{before}{branch}"), Look::Faint)];
        line.extend(aligned(&node.cells, &widths));
        lines.push(line);
        push_all(lines, &format!("{before}{stem}"), &node.children);
    }
}

/// Of each column; one that is empty everywhere takes no room.
fn widths(siblings: &[Node]) -> Vec<usize> {
    let columns = siblings.iter().map(|node| node.cells.len()).max().unwrap_or(0);
    let widest =
        |column: usize| siblings.iter().filter_map(|node| node.cells.get(column)).map(|cell| width(cell)).max();
    (0..columns).map(|column| widest(column).filter(|width| *width > 0).map_or(0, |width| width + GAP)).collect()
}

fn width(cell: &[Piece]) -> usize {
    cell.iter().map(|(text, _)| text.width()).sum()
}

fn aligned(cells: &[Vec<Piece>], widths: &[usize]) -> Vec<Piece> {
    let used = cells.iter().rposition(|cell| width(cell) > 0).map_or(0, |last| last + 1);
    let mut line = Vec::new();
    for (number, (cell, wanted)) in cells[..used].iter().zip(widths).enumerate() {
        line.extend(cell.iter().cloned());
        if number + 1 < used {
            line.push((" ".repeat(wanted.saturating_sub(width(cell))), Look::Plain));
        }
    }
    line
}

fn written(line: &[Piece], screen: Screen) -> String {
    let mut room = screen.width.unwrap_or(usize::MAX);
    let is_cut = width(line) > room;
    if is_cut {
        room -= "…".width();
    }
    let mut written = String::new();
    for (text, look) in line {
        let text = beginning(text, room);
        room -= text.width();
        match look.code() {
            code if screen.is_colored && !code.is_empty() => {
                written.push_str(&format!("\u{1b}[{code}m{text}\u{1b}[0m"));
            }
            _ => written.push_str(text),
        }
    }
    if is_cut { written + "…" } else { written }
}

/// As much of a text as fits.
fn beginning(text: &str, room: usize) -> &str {
    let mut used = 0;
    let fits = |(_, character): &(usize, char)| {
        used += character.width().unwrap_or(0);
        used <= room
    };
    let end = text.char_indices().take_while(fits).last().map_or(0, |(at, character)| at + character.len_utf8());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::super::sample::{hostile, small};
    use super::*;

    const SMALL: &str = "\
node1
├─ eth0                 192.0.2.10/24, 2001:db8::10/64  default route
│  └─ eth0.20  VLAN 20
│     └─ network lan  macvlan  10.2.0.0/24
│        └─ printer  eth0  10.2.0.7/24
├─ eth1                                                 down, in br1
├─ br0          bridge  10.0.0.1/24
│  └─ network front  bridge  10.0.0.0/24
│     └─ web  eth0  10.0.0.3/24  podman  8080→80/tcp, 8443→443/tcp, also on back
├─ br1          bridge
│  └─ network back  bridge  10.1.0.0/24, fd00:1::/64  internal
│     ├─ db   eth0  10.1.0.2/24, fd00:1::2/64
│     └─ web  eth1  10.1.0.3/24, fd00:1::3/64  podman  8080→80/tcp, 8443→443/tcp, also called shop, www, also on front
└─ network new  bridge  10.9.0.0/24                     br9 is not there yet
2 attachments are not shown: their containers are gone
";

    #[test]
    fn a_tree_shows_what_is_on_what() {
        assert_eq!(draw(&small(), Screen::default()), SMALL);
    }

    #[test]
    fn colours_add_nothing_else() {
        let colored = draw(&small(), Screen { is_colored: true, width: None });
        assert!(colored.contains("\u{1b}[1;36mfront\u{1b}[0m"), "{colored}");
        let plain: String = colored
            .split('\u{1b}')
            .map(|part| part.split_once('m').filter(|_| part.starts_with('[')).map_or(part, |(_, rest)| rest))
            .collect();
        assert_eq!(plain, SMALL);
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        let mut graph = small();
        graph.containers[0].name = "網".repeat(40);
        for is_colored in [false, true] {
            let cut = draw(&graph, Screen { is_colored, width: Some(30) });
            assert_eq!(cut.lines().count(), SMALL.lines().count());
            let plain = draw(&graph, Screen { is_colored: false, width: Some(30) });
            assert!(plain.lines().all(|line| line.width() <= 30), "{plain}");
            assert!(plain.lines().any(|line| line.ends_with("網…")), "{plain}");
            assert_eq!(cut.matches('…').count(), plain.matches('…').count());
        }
    }

    #[test]
    fn a_name_cannot_write_to_the_terminal() {
        let tree = draw(&hostile(), Screen::default());
        assert!(!tree.contains(|character: char| character.is_control() && character != '\n'), "{tree}");
        assert!(!tree.contains('\u{202e}'));
        assert_eq!(tree.lines().count(), SMALL.lines().count());
    }
}

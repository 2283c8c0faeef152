//! The picture: the host's links on the left, a panel for each network with the containers that are on no other, and on the
//! right the containers that connect networks. One file without scripts, fonts or anything else from elsewhere.

mod canvas;
mod card;
mod font;
mod grid;
mod host;
mod layout;
mod paint;
mod palette;

use super::graph::Graph;
use layout::Layout;

pub(super) fn draw(graph: &Graph) -> String {
    paint::paint(graph, &Layout::of(graph))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::graph::{Link, Network};
    use super::super::sample::{container, hostile, link, network, port, small};
    use super::*;
    use canvas::Area;

    /// What a reader sees of a picture, and what the pointer brings up.
    fn texts(picture: &str) -> Vec<String> {
        let document = roxmltree::Document::parse(picture).unwrap();
        let of_text = document.descendants().filter(|node| node.has_tag_name("text") || node.has_tag_name("title"));
        of_text
            .map(|node| {
                node.descendants()
                    .filter(roxmltree::Node::is_text)
                    .filter_map(|node| node.text())
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect()
    }

    /// Sixty containers on four networks, and six of them on several.
    fn sixty() -> Graph {
        let mut graph = small();
        for number in 0..60 {
            let (long, v6) =
                (format!("{}{number}", "a-very-long-name-".repeat(9)), format!("fd00:1:2:3:4:5:6:{number}/64"));
            let v4 = format!("10.0.0.{number}/24");
            let addresses: &[&str] = &[&v4, &v6];
            let on = [("front", addresses), ("back", addresses), ("lan", addresses)];
            let ports: Vec<_> = (0..number % 20).map(|nth| port(8000 + 2 * nth, 80)).collect();
            let first = usize::from(number) % 3;
            let last = if number < 54 { first } else { 2 };
            graph.containers.push(container(&long, &on[first..=last], &ports));
        }
        graph
    }

    fn is_in(inner: Area, outer: Area) -> bool {
        outer.x <= inner.x && outer.y <= inner.y && inner.right() <= outer.right() && inner.bottom() <= outer.bottom()
    }

    fn overlap(one: Area, other: Area) -> bool {
        one.x < other.right() && other.x < one.right() && one.y < other.bottom() && other.y < one.bottom()
    }

    #[test]
    fn a_picture_shows_everything_once_and_needs_nothing_else() {
        let picture = draw(&small());
        let texts = texts(&picture);
        for wanted in [
            "node1",
            "eth0.20",
            "default route",
            "web",
            "podman",
            "10.1.0.3",
            "8443→443/tcp",
            "br9 is not there yet",
            "2 attachments are not shown: their containers are gone",
        ] {
            assert_eq!(texts.iter().filter(|text| *text == wanted).count(), 1, "{wanted} in {texts:?}");
        }
        for foreign in ["<script", "href", "url(", "@import", "http:"] {
            assert!(!picture.replace("http://www.w3.org/2000/svg", "").contains(foreign), "{foreign}");
        }
        assert!(picture.contains("prefers-color-scheme:dark"));
    }

    #[test]
    fn hostile_names_are_text() {
        let picture = draw(&hostile());
        let document = roxmltree::Document::parse(&picture).unwrap();
        assert!(!document.descendants().any(|node| node.has_tag_name("b")));
        assert!(!picture.contains(|character: char| character.is_control() && character != '\n'));
        assert!(texts(&picture).iter().any(|text| text.starts_with("a\\u{1b}[31m\"]; end <b>&amp;`x`\\u{a}\\u{202e}")));
    }

    #[test]
    fn what_is_cut_is_whole_for_the_pointer() {
        let graph = sixty();
        let (name, texts) = (&graph.containers[7].name, texts(&draw(&graph)));
        assert!(!texts.contains(name));
        assert!(texts.iter().any(|text| text.lines().next() == Some(name)), "{texts:?}");
    }

    #[test]
    fn nothing_covers_anything_else() {
        let mut crowded = sixty();
        for number in 0..20 {
            let bridge = Link {
                parent: (number % 3 == 2).then(|| format!("br-{}", number - 1)),
                ..link(&format!("br-{number}"), "bridge", &["10.1.1.1/24"])
            };
            crowded
                .networks
                .push(Network { internal: true, ..network(&format!("net{number}"), "bridge", &bridge.name, &[]) });
            crowded.host.links.push(bridge);
        }
        for graph in [Graph::default(), small(), sixty(), crowded] {
            let layout = Layout::of(&graph);
            let panels = || layout.panels.iter().map(|panel| (panel.area, &panel.grid));
            let groups = layout.groups.iter().map(|group| (group.area, &group.grid));
            let mut cards = 0;
            for (area, grid) in panels().chain(groups) {
                cards += grid.cards.len();
                assert!(grid.cards.iter().all(|(place, _)| is_in(*place, area)));
                assert!(grid.cards.windows(2).all(|pair| !overlap(pair[0].0, pair[1].0)));
            }
            assert_eq!(cards, graph.containers.len());
            let areas: Vec<_> = std::iter::once(layout.host)
                .chain(panels().map(|(area, _)| area))
                .chain(layout.groups.iter().map(|group| group.area))
                .collect();
            for (number, area) in areas.iter().enumerate() {
                assert!(is_in(*area, Area { width: layout.width, height: layout.height, ..Area::default() }));
                assert!(areas[..number].iter().all(|other| !overlap(*area, *other)), "{areas:?}");
            }
            assert!(layout.rows.iter().all(|row| is_in(row.area, layout.host)));
            assert!(layout.rows.windows(2).all(|pair| !overlap(pair[0].area, pair[1].area)));
            assert_eq!(layout.rows.len(), graph.host.links.len());
        }
    }
}

//! The host's links, one below the other.

use super::super::graph::{Graph, Link};
use super::super::text::{kind, marks_of_link};
use super::canvas::{Area, Canvas};
use super::font::{CODE, NAME, SMALL};

/// How far a link is to the right of the one that it sits on.
const INDENT: f64 = 16.0;
const PADDING: f64 = 10.0;
const LINE: f64 = 15.0;
const FIRST_LINE: f64 = 18.0;

/// A link with its place.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) link: &'a Link,
    pub(super) depth: usize,
    pub(super) area: Area,
}

/// Every link below the one that it sits on.
pub(super) fn rows(graph: &Graph) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    push_on(graph, None, 0, &mut rows);
    rows
}

fn push_on<'a>(graph: &'a Graph, parent: Option<&'a str>, depth: usize, rows: &mut Vec<Row<'a>>) {
    for link in graph.links_on(parent) {
        rows.push(Row { link, depth, area: Area::default() });
        push_on(graph, Some(&link.name), depth + 1, rows);
    }
}

impl Row<'_> {
    pub(super) fn place(&mut self, x: f64, y: f64, width: f64) {
        let indent = (INDENT * self.depth as f64).min(width / 3.0);
        self.area = Area { x: x + indent, y, width: width - indent, height: self.height() };
    }

    pub(super) fn height(&self) -> f64 {
        let has_marks = !marks_of_link(self.link).is_empty();
        FIRST_LINE + LINE * (self.link.addresses.len() + usize::from(has_marks)) as f64 + 9.0
    }

    /// Where lines to networks begin.
    pub(super) fn middle(&self) -> (f64, f64) {
        (self.area.right(), self.area.y + self.area.height / 2.0)
    }

    pub(super) fn draw(&self, canvas: &mut Canvas) {
        canvas.group(&title(self.link), |canvas| {
            canvas.rect(self.area, 6.0, "card");
            self.draw_name(canvas);
            let marks = marks_of_link(self.link).join(", ");
            let (left, room) = (self.area.x + PADDING, self.area.width - 2.0 * PADDING);
            let mut y = self.area.y + FIRST_LINE;
            for address in &self.link.addresses {
                y += LINE;
                canvas.text(left, y, CODE, "", &CODE.fit_end(address, room));
            }
            if !marks.is_empty() {
                canvas.text(left, y + LINE, SMALL, "muted", &SMALL.fit(&marks, room));
            }
        });
    }

    fn draw_name(&self, canvas: &mut Canvas) {
        let (left, right, y) = (self.area.x + PADDING, self.area.right() - PADDING, self.area.y + FIRST_LINE);
        let mut end = right;
        if self.link.default_route {
            let text = "default route";
            let width = SMALL.width(text) + 14.0;
            canvas.rect(Area { x: end - width, y: y - 12.0, width, height: 16.0 }, 8.0, "way");
            canvas.text(end - width / 2.0, y, SMALL, "way middle", text);
            end -= width + 6.0;
        }
        let name = NAME.fit(&self.link.name, end - left);
        canvas.text(left, y, NAME, "", &name);
        let kind = kind(self.link);
        let room = end - left - NAME.width(&name) - 8.0;
        if room > SMALL.width("VLAN 4") {
            canvas.text_before(end, y, SMALL, "muted", &SMALL.fit(&kind, room));
        }
    }
}

/// Everything that is known of a link, for the pointer.
fn title(link: &Link) -> Vec<String> {
    let mut lines = vec![format!("{} {}", link.name, link.kind).trim_end().to_owned()];
    lines.extend(link.mac.clone());
    lines.push(format!("MTU {}", link.mtu));
    lines.extend(link.addresses.iter().cloned());
    lines.extend(link.default_route.then(|| "default route".to_owned()));
    lines.extend(marks_of_link(link));
    lines
}

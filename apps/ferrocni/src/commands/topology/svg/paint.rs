//! Writing what has its place.

use super::super::graph::Graph;
use super::super::text::{marks_of_network, note, subnets};
use super::canvas::{Area, Canvas, escaped};
use super::font::{CODE, HEADING, SMALL, TITLE};
use super::layout::{Group, Layout, MARGIN, PADDING, Panel};
use super::palette::style;

pub(super) fn paint(graph: &Graph, layout: &Layout<'_>) -> String {
    let mut canvas = Canvas::default();
    let (width, height) = (layout.width.ceil(), layout.height.ceil());
    canvas.raw(&format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">"#
    ));
    let summary = summary(graph);
    canvas.raw(&format!("<title>{}: {summary}</title>", escaped(&graph.host.name)));
    canvas.raw(&style());
    canvas.rect(Area { width, height, ..Area::default() }, 0.0, "page");
    canvas.text(MARGIN, 42.0, TITLE, "", &TITLE.fit(&graph.host.name, width - 2.0 * MARGIN));
    canvas.text(MARGIN, 62.0, SMALL, "muted", &summary);
    canvas.rect(layout.host, 10.0, "panel");
    canvas.text(layout.host.x + PADDING, layout.host.y + 26.0, HEADING, "", "Links");
    stems(&mut canvas, layout);
    wires(&mut canvas, layout);
    layout.rows.iter().for_each(|row| row.draw(&mut canvas));
    layout.panels.iter().for_each(|panel| draw_panel(&mut canvas, graph, panel));
    layout.groups.iter().for_each(|group| draw_group(&mut canvas, layout, group));
    if let Some(note) = note(graph) {
        canvas.text(MARGIN, height - 16.0, SMALL, "muted", &note);
    }
    canvas.raw("</svg>");
    canvas.into_string()
}

fn summary(graph: &Graph) -> String {
    let counted = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let published: usize = graph.containers.iter().map(|container| container.ports.len()).sum();
    let mut parts = vec![counted(graph.networks.len(), "network"), counted(graph.containers.len(), "container")];
    if published > 0 {
        parts.push(counted(published, "published port"));
    }
    parts.join(" · ")
}

/// From each link to those that sit on it.
fn stems(canvas: &mut Canvas, layout: &Layout<'_>) {
    for row in layout.rows.iter().filter(|row| row.depth > 0) {
        let parent = layout.rows.iter().find(|parent| row.link.parent.as_ref() == Some(&parent.link.name));
        if let Some(parent) = parent {
            let (x, y) = ((parent.area.x + row.area.x) / 2.0, row.area.y + row.area.height / 2.0);
            let (top, right) = (parent.area.bottom(), row.area.x);
            canvas.raw(&format!(r#"<path class="stem" d="M{x} {top}V{y}H{right}"/>"#));
        }
    }
}

/// From links to networks, and from networks to the containers that connect them.
fn wires(canvas: &mut Canvas, layout: &Layout<'_>) {
    for panel in &layout.panels {
        let to = (panel.area.x, panel.middle_of_head());
        let row = layout.rows.iter().find(|row| panel.network.interface.as_ref() == Some(&row.link.name));
        match row {
            Some(row) => canvas.wire(row.middle(), to, &format!("wire w{}", panel.color)),
            None => canvas.wire((layout.host.right(), to.1), to, &format!("wire dashed w{}", panel.color)),
        }
    }
    for group in &layout.groups {
        for (number, panel) in group.panels.iter().enumerate() {
            let panel = &layout.panels[*panel];
            let from = (panel.area.right(), panel.middle_of_head());
            canvas.wire(from, group.end_of_wire(number), &format!("wire w{}", panel.color));
        }
    }
}

fn draw_panel(canvas: &mut Canvas, graph: &Graph, panel: &Panel<'_>) {
    let (area, network) = (panel.area, panel.network);
    canvas.rect(area, 10.0, "panel");
    canvas.rect(
        Area { width: 5.0, y: area.y + 10.0, height: area.height - 20.0, ..area },
        2.0,
        &format!("d{}", panel.color),
    );
    let (left, right) = (area.x + PADDING, area.right() - PADDING);
    let marks = marks_of_network(graph, network);
    canvas.group(&title(panel, &marks), |canvas| {
        let count = match panel.members {
            0 => "no containers".to_owned(),
            1 => "1 container".to_owned(),
            count => format!("{count} containers"),
        };
        canvas.text_before(right, area.y + 24.0, SMALL, "muted", &count);
        let room = right - left - SMALL.width(&count) - 10.0;
        let name = HEADING.fit(&network.name, room * 0.7);
        let driver = SMALL.fit(&network.driver, room - HEADING.width(&name) - 8.0);
        canvas.named(left, area.y + 24.0, HEADING, &name, &driver);
        draw_subnets(canvas, panel, &marks, (left, right));
    });
    panel.grid.cards.iter().for_each(|(place, card)| card.draw(canvas, *place));
}

fn draw_subnets(canvas: &mut Canvas, panel: &Panel<'_>, marks: &[String], (left, right): (f64, f64)) {
    let y = panel.area.y + 43.0;
    let marks = SMALL.fit(&marks.join(", "), (right - left) / 2.0);
    canvas.text_before(right, y, SMALL, "muted", &marks);
    let subnets = CODE.fit(&subnets(panel.network).join(", "), right - left - SMALL.width(&marks) - 10.0);
    canvas.text(left, y, CODE, "muted", &subnets);
}

/// Everything that is known of a network, for the pointer.
fn title(panel: &Panel<'_>, marks: &[String]) -> Vec<String> {
    let network = panel.network;
    let mut lines = vec![format!("{} {}", network.name, network.driver)];
    lines.extend(network.interface.as_ref().map(|interface| format!("on {interface}")));
    lines.extend(network.subnets.iter().map(|subnet| match &subnet.gateway {
        Some(gateway) => format!("{} through {gateway}", subnet.subnet),
        None => subnet.subnet.clone(),
    }));
    lines.extend(marks.iter().cloned());
    lines.extend(network.file.clone());
    lines
}

fn draw_group(canvas: &mut Canvas, layout: &Layout<'_>, group: &Group<'_>) {
    canvas.rect(group.area, 10.0, "panel");
    for (number, panel) in group.panels.iter().enumerate() {
        let panel = &layout.panels[*panel];
        let (x, y) = group.end_of_wire(number);
        canvas.dot(x, y, &format!("d{}", panel.color));
        let name = HEADING.fit(&panel.network.name, group.area.width - 2.0 * PADDING);
        canvas.text(x + PADDING, y + 5.0, HEADING, "", &name);
    }
    group.grid.cards.iter().for_each(|(place, card)| card.draw(canvas, *place));
}

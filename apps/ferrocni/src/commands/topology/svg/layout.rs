//! Where everything is.

use std::collections::BTreeMap;

use super::super::graph::{Container, Graph, Network};
use super::canvas::Area;
use super::card::Card;
use super::grid::{self, Grid};
use super::host::{self, Row};
use super::palette;

pub(super) const MARGIN: f64 = 24.0;
/// Inside panels.
pub(super) const PADDING: f64 = 16.0;
/// The head of the picture.
const TOP: f64 = 76.0;
/// What is left out is noted there.
const FOOT: f64 = 20.0;
/// The head of a panel.
pub(super) const HEAD: f64 = 56.0;
/// Between panels one below the other, and between the bands in which lines run.
const GAP: f64 = 16.0;
const BAND: f64 = 72.0;
const HOST: f64 = 280.0;
/// Of everything, so that a note fits.
const LEAST_WIDTH: f64 = 400.0;
const CARD: f64 = 226.0;
/// Of a container on several networks, whose names are on it.
const WIDE_CARD: f64 = 286.0;

/// A network with the containers that are on no other.
#[derive(Debug)]
pub(super) struct Panel<'a> {
    pub(super) network: &'a Network,
    pub(super) color: usize,
    pub(super) area: Area,
    pub(super) grid: Grid<'a>,
    /// Also those of groups.
    pub(super) members: usize,
}

/// The containers that are on the same several networks.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// By their number among the panels.
    pub(super) panels: Vec<usize>,
    pub(super) area: Area,
    pub(super) grid: Grid<'a>,
}

#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub(super) width: f64,
    pub(super) height: f64,
    /// The panel around the links.
    pub(super) host: Area,
    pub(super) rows: Vec<Row<'a>>,
    pub(super) panels: Vec<Panel<'a>>,
    pub(super) groups: Vec<Group<'a>>,
}

impl<'a> Layout<'a> {
    pub(super) fn of(graph: &'a Graph) -> Self {
        let mut rows = host::rows(graph);
        let panels = panels(graph, &rows);
        place_rows(&mut rows, &panels);
        let groups = groups(graph, &panels);
        let bottom_of_rows = rows.last().map_or(TOP, |row| row.area.bottom() + PADDING);
        let bottoms =
            panels.iter().map(|panel| panel.area.bottom()).chain(groups.iter().map(|group| group.area.bottom()));
        let bottom = bottoms.fold(bottom_of_rows.max(TOP + HEAD), f64::max);
        let rights = panels.iter().map(|panel| panel.area.right()).chain(groups.iter().map(|group| group.area.right()));
        let host = Area { x: MARGIN, y: TOP, width: HOST, height: bottom - TOP };
        let width = rights.fold(host.right().max(LEAST_WIDTH), f64::max) + MARGIN;
        Self { width, height: bottom + MARGIN + if graph.dead > 0 { FOOT } else { 0.0 }, host, rows, panels, groups }
    }
}

/// In the order of the links that they are on, so that few lines cross.
fn panels<'a>(graph: &'a Graph, rows: &[Row<'a>]) -> Vec<Panel<'a>> {
    let on_links = rows.iter().flat_map(|row| graph.networks_on(&row.link.name));
    let networks: Vec<&Network> = on_links.chain(graph.networks_elsewhere()).collect();
    let color_of = |name: &str| color_of(&networks, name);
    let of_none_else = |network: &Network| -> Vec<&Container> {
        graph.containers.iter().filter(|container| container.networks() == [network.name.as_str()]).collect()
    };
    let most = networks.iter().map(|network| of_none_else(network).len()).max().unwrap_or(0);
    let (columns, x) = (columns(most, &[4, 15, 120]) + 1, MARGIN + HOST + BAND);
    let mut y = TOP;
    let mut panels = Vec::new();
    for network in &networks {
        let cards = of_none_else(network).into_iter().map(|container| Card::new(container, CARD, color_of)).collect();
        let grid = Grid::place(cards, columns, CARD, x + PADDING, y + HEAD);
        let body = if grid.cards.is_empty() { 0.0 } else { grid.height + PADDING };
        let area = Area { x, y, width: grid::width(columns, CARD) + 2.0 * PADDING, height: HEAD + body };
        let members = graph.containers.iter().filter(|container| container.networks().contains(&network.name.as_str()));
        panels.push(Panel { network, color: color_of(&network.name), area, grid, members: members.count() });
        y = area.bottom() + GAP;
    }
    panels
}

fn color_of(networks: &[&Network], name: &str) -> usize {
    palette::color(networks.iter().position(|network| network.name == name).unwrap_or(0))
}

/// One more for each of the steps that are exceeded.
fn columns(cards: usize, steps: &[usize]) -> usize {
    1 + steps.iter().filter(|step| cards > **step).count()
}

/// A link is beside the first network on it, or as high as there is room.
fn place_rows(rows: &mut [Row<'_>], panels: &[Panel<'_>]) {
    let mut y = TOP + 40.0;
    for row in rows {
        let first = panels.iter().find(|panel| panel.network.interface.as_ref() == Some(&row.link.name));
        let beside = first.map_or(y, |panel| panel.middle_of_head() - row.height() / 2.0);
        row.place(MARGIN + PADDING, y.max(beside), HOST - 2.0 * PADDING);
        y = row.area.bottom() + 8.0;
    }
}

impl Panel<'_> {
    /// The height at which lines arrive and leave.
    pub(super) fn middle_of_head(&self) -> f64 {
        self.area.y + HEAD / 2.0
    }
}

impl Group<'_> {
    /// Where the line from its network of that number arrives.
    pub(super) fn end_of_wire(&self, number: usize) -> (f64, f64) {
        (self.area.x, self.area.y + 20.0 + LINE * number as f64)
    }
}

/// From one network in a group's head to the next.
const LINE: f64 = 19.0;

/// Each as near to its networks as there is room.
fn groups<'a>(graph: &'a Graph, panels: &[Panel<'a>]) -> Vec<Group<'a>> {
    let number_of = |name: &str| panels.iter().position(|panel| panel.network.name == name);
    let mut members: BTreeMap<Vec<usize>, Vec<&Container>> = BTreeMap::new();
    for container in graph.containers.iter().filter(|container| container.networks().len() > 1) {
        let mut key: Vec<_> = container.networks().into_iter().filter_map(number_of).collect();
        key.sort_unstable();
        members.entry(key).or_default().push(container);
    }
    let height_of = |group: &Vec<usize>| mean(group.iter().map(|number| panels[*number].middle_of_head()));
    let mut members: Vec<_> = members.into_iter().collect();
    members.sort_by(|(one, _), (other, _)| height_of(one).total_cmp(&height_of(other)));
    let x = panels.iter().map(|panel| panel.area.right()).fold(0.0, f64::max) + BAND;
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (numbers, containers) in members {
        let least = groups.last().map_or(TOP, |before| before.area.bottom() + GAP);
        let middle = height_of(&numbers);
        groups.push(group(numbers, &containers, panels, (x, least, middle)));
    }
    groups
}

/// A group at `x`, around `middle` if that does not bring it above `least`.
fn group<'a>(
    numbers: Vec<usize>,
    containers: &[&'a Container],
    panels: &[Panel<'a>],
    (x, least, middle): (f64, f64, f64),
) -> Group<'a> {
    let color_of = |name: &str| panels.iter().find(|panel| panel.network.name == name).map_or(0, |panel| panel.color);
    let cards = || containers.iter().map(|container| Card::new(container, WIDE_CARD, color_of)).collect();
    let columns = columns(containers.len(), &[4, 24]);
    let head = 18.0 + LINE * numbers.len() as f64;
    let height = head + Grid::place(cards(), columns, WIDE_CARD, 0.0, 0.0).height + PADDING;
    let y = least.max(middle - height / 2.0);
    let grid = Grid::place(cards(), columns, WIDE_CARD, x + PADDING, y + head);
    let width = grid::width(columns.min(containers.len()), WIDE_CARD) + 2.0 * PADDING;
    Group { panels: numbers, area: Area { x, y, width, height }, grid }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

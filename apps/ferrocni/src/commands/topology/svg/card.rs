//! A container, as a card.

use super::super::graph::{Attached, Container};
use super::super::text::ports;
use super::canvas::{Area, Canvas};
use super::font::{CODE, NAME, SMALL};

/// Between a card's border and what is in it.
pub(super) const PADDING: f64 = 10.0;
/// From one line of text to the next.
const LINE: f64 = 16.0;
/// From the upper border to the name's base line.
const FIRST_LINE: f64 = 19.0;
const PILL: f64 = 16.0;
const PILL_GAP: f64 = 5.0;
/// How many lines of ports are shown, and how much of a line is what stands before an address.
const MAX_PILL_LINES: usize = 2;
const LABEL: f64 = 84.0;

/// A container with what is written on its card.
#[derive(Debug)]
pub(super) struct Card<'a> {
    container: &'a Container,
    rows: Vec<Row>,
    pills: Vec<Vec<Pill>>,
}

/// A line of the card: an address, and where more than one network or interface could be meant, which.
#[derive(Debug)]
struct Row {
    /// The network's.
    color: Option<usize>,
    label: String,
    address: String,
}

#[derive(Debug)]
struct Pill {
    text: String,
    x: f64,
    width: f64,
}

impl<'a> Card<'a> {
    /// A card of that width. `color_of` is a network's colour.
    pub(super) fn new(container: &'a Container, width: f64, color_of: impl Fn(&str) -> usize) -> Self {
        let connects = container.networks().len() > 1;
        let is_labelled = container.attachments.len() > 1;
        let rows = container.attachments.iter().flat_map(|attached| {
            let label = match (connects, is_labelled) {
                (true, _) => attached.network.clone(),
                (false, true) => attached.interface.clone(),
                (false, false) => String::new(),
            };
            let color = connects.then(|| color_of(&attached.network));
            addresses(attached).into_iter().enumerate().map(move |(number, address)| Row {
                color: color.filter(|_| number == 0),
                label: if number == 0 { label.clone() } else { String::new() },
                address,
            })
        });
        Self { container, rows: rows.collect(), pills: pills(&ports(&container.ports), width - 2.0 * PADDING) }
    }

    pub(super) fn height(&self) -> f64 {
        let text = FIRST_LINE + LINE * self.rows.len() as f64;
        text + (PILL + PILL_GAP) * self.pills.len() as f64 + PADDING
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, area: Area) {
        canvas.group(&title(self.container), |canvas| {
            canvas.rect(area, 6.0, "card");
            self.draw_name(canvas, area);
            let is_labelled = self.container.attachments.len() > 1;
            for (number, row) in self.rows.iter().enumerate() {
                row.draw(canvas, area, area.y + FIRST_LINE + LINE * (number + 1) as f64, is_labelled);
            }
            let below = area.y + FIRST_LINE + LINE * self.rows.len() as f64 + 7.0;
            for (number, line) in self.pills.iter().enumerate() {
                let y = below + (PILL + PILL_GAP) * number as f64;
                line.iter().for_each(|pill| pill.draw(canvas, area.x + PADDING, y));
            }
        });
    }

    fn draw_name(&self, canvas: &mut Canvas, area: Area) {
        let (left, right, y) = (area.x + PADDING, area.right() - PADDING, area.y + FIRST_LINE);
        let runtime = self.container.runtime.unwrap_or_default();
        let room = right - left - SMALL.width(runtime) - if runtime.is_empty() { 0.0 } else { 8.0 };
        canvas.text(left, y, NAME, "", &NAME.fit(&self.container.name, room));
        if !runtime.is_empty() {
            canvas.text_before(right, y, SMALL, "muted", runtime);
        }
    }
}

/// Without prefix lengths, which the network's panel shows.
fn addresses(attached: &Attached) -> Vec<String> {
    let without_length = |address: &String| address.split('/').next().unwrap_or_default().to_owned();
    match attached.addresses.is_empty() {
        true => vec!["no address".to_owned()],
        false => attached.addresses.iter().map(without_length).collect(),
    }
}

impl Row {
    fn draw(&self, canvas: &mut Canvas, area: Area, y: f64, is_labelled: bool) {
        let mut x = area.x + PADDING;
        if let Some(color) = self.color {
            canvas.dot(x + 3.5, y - 4.0, &format!("d{color}"));
        }
        if is_labelled {
            let before = if self.color.is_some() { 12.0 } else { 0.0 };
            canvas.text(x + before, y, SMALL, "muted", &SMALL.fit(&self.label, LABEL - 6.0 - before));
            x += LABEL;
        }
        canvas.text(x, y, CODE, "", &CODE.fit_end(&self.address, area.right() - PADDING - x));
    }
}

/// Ports in lines of that width. What does not fit is counted.
fn pills(ports: &[String], room: f64) -> Vec<Vec<Pill>> {
    let mut lines: Vec<Vec<Pill>> = Vec::new();
    for (number, port) in ports.iter().enumerate() {
        let rest = ports.len() - number;
        let more = format!("+{rest}");
        let x = lines.last().and_then(|line| line.last()).map_or(0.0, |last| last.x + last.width + PILL_GAP);
        let kept = if rest > 1 && lines.len() == MAX_PILL_LINES { CODE.width(&more) + 10.0 + PILL_GAP } else { 0.0 };
        let pill = Pill::new(port, x, room);
        if lines.is_empty() || (x + pill.width + kept > room && lines.len() < MAX_PILL_LINES) {
            lines.push(vec![Pill::new(port, 0.0, room)]);
        } else if let Some(line) = lines.last_mut() {
            if x + pill.width + kept > room {
                line.push(Pill::new(&more, x, room));
                break;
            }
            line.push(pill);
        }
    }
    lines
}

impl Pill {
    fn new(text: &str, x: f64, room: f64) -> Self {
        let text = CODE.fit(text, room - 10.0);
        Self { width: CODE.width(&text) + 10.0, text, x }
    }

    fn draw(&self, canvas: &mut Canvas, left: f64, y: f64) {
        canvas.rect(Area { x: left + self.x, y, width: self.width, height: PILL }, PILL / 2.0, "port");
        canvas.text(left + self.x + self.width / 2.0, y + 12.0, CODE, "port middle", &self.text);
    }
}

/// Everything that is known of a container, for the pointer.
fn title(container: &Container) -> Vec<String> {
    let mut lines = vec![container.name.clone()];
    if container.id != container.name {
        lines.push(container.id.clone());
    }
    lines.extend(container.runtime.map(|runtime| format!("run by {runtime}")));
    lines.extend(container.attachments.iter().map(|attached| {
        let mac = attached.mac.as_deref().unwrap_or_default();
        let addresses = attached.addresses.iter().map(String::as_str);
        let words = std::iter::once(attached.interface.as_str()).chain(addresses).chain([mac]);
        let words: Vec<_> =
            words.chain(attached.aliases.iter().map(String::as_str)).filter(|word| !word.is_empty()).collect();
        format!("{}: {}", attached.network, words.join(" "))
    }));
    lines.extend(ports(&container.ports));
    lines
}

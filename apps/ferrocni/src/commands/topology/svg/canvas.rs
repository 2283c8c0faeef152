//! Writing the elements of a picture.

use super::super::text::visible;
use super::font::{Font, SMALL};

/// A picture that is being written.
#[derive(Debug, Default)]
pub(super) struct Canvas(String);

/// A place in the picture, in pixels from its upper left corner.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Area {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Area {
    pub(super) fn right(self) -> f64 {
        self.x + self.width
    }

    pub(super) fn bottom(self) -> f64 {
        self.y + self.height
    }
}

impl Canvas {
    /// Markup as it is.
    pub(super) fn raw(&mut self, markup: &str) {
        self.0.push_str(markup);
        self.0.push('\n');
    }

    /// Elements that show lines of text when the pointer is on them.
    pub(super) fn group(&mut self, title: &[String], draw: impl FnOnce(&mut Self)) {
        let title: Vec<_> = title.iter().map(|line| escaped(line)).collect();
        self.raw(&format!(
            "<g><title>{}</title>",
            title.join(
                "
"
            )
        ));
        draw(self);
        self.raw("</g>");
    }

    pub(super) fn rect(&mut self, area: Area, radius: f64, class: &str) {
        let Area { x, y, width, height } = area;
        let place = format!(r#"x="{}" y="{}" width="{}" height="{}""#, px(x), px(y), px(width), px(height));
        self.raw(&format!(r#"<rect class="{class}" {place} rx="{radius}"/>"#));
    }

    /// A text, from its left end and base line on.
    pub(super) fn text(&mut self, x: f64, y: f64, font: Font, look: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        let class = format!("{} {look}", font.class);
        self.raw(&format!(
            r#"<text class="{}" x="{}" y="{}">{}</text>"#,
            class.trim_end(),
            px(x),
            px(y),
            escaped(text)
        ));
    }

    /// A name, and after it what it is.
    pub(super) fn named(&mut self, x: f64, y: f64, font: Font, name: &str, what: &str) {
        let what = format!(r#"<tspan class="{} muted" dx="8">{}</tspan>"#, SMALL.class, escaped(what));
        let (x, y, class) = (px(x), px(y), font.class);
        self.raw(&format!(r#"<text class="{class}" x="{x}" y="{y}">{}{what}</text>"#, escaped(name)));
    }

    /// A text that ends at `x`.
    pub(super) fn text_before(&mut self, x: f64, y: f64, font: Font, look: &str, text: &str) {
        self.text(x, y, font, &format!("{look} end"), text);
    }

    pub(super) fn dot(&mut self, x: f64, y: f64, class: &str) {
        self.raw(&format!(r#"<circle class="{class}" cx="{}" cy="{}" r="3.5"/>"#, px(x), px(y)));
    }

    /// A line that leaves and arrives horizontally.
    pub(super) fn wire(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let middle = px(f64::midpoint(from.0, to.0));
        let (from, to) = ((px(from.0), px(from.1)), (px(to.0), px(to.1)));
        let path = format!("M{} {}C{middle} {} {middle} {} {} {}", from.0, from.1, from.1, to.1, to.0, to.1);
        self.raw(&format!(r#"<path class="{class}" d="{path}"/>"#));
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// A tenth of a pixel is as exact as anybody can see.
fn px(length: f64) -> f64 {
    (length * 10.0).round() / 10.0
}

/// As text between tags.
pub(super) fn escaped(text: &str) -> String {
    visible(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

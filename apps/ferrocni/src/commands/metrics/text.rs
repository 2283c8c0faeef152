//! Prometheus' text format (version 0.0.4).

use std::fmt::{Display, Write as _};

/// Metrics under construction.
#[derive(Debug, Default)]
pub(super) struct Text(String);

/// Numbers of one metric.
#[derive(Debug)]
pub(super) struct Family<'t> {
    text: &'t mut String,
    name: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Gauge,
    Counter,
}

impl Text {
    /// Begins a metric; its help is one line.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        // Writing to a String does not fail.
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        Family { text: &mut self.0, name }
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl Family<'_> {
    /// One number, with the names and values of its labels.
    pub(super) fn number(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.text, "{}{labels} {value}", self.name);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.family("x_total", Kind::Counter, "Things.").number(&[("a", "q\"\\\n"), ("b", "é")], 3);
        text.family("y", Kind::Gauge, "Others.").number(&[], u128::MAX);
        assert_eq!(
            text.into_string(),
            "# HELP x_total Things.\n# TYPE x_total counter\nx_total{a=\"q\\\"\\\\\\n\",b=\"é\"} 3\n\
             # HELP y Others.\n# TYPE y gauge\ny 340282366920938463463374607431768211455\n"
        );
    }
}

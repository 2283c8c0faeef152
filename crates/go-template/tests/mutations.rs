//! No template makes the crate panic, hang or use up memory.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use go_template::{Format, Template};
use serde_json::Value;

const PIECES: [&str; 40] = [
    "{{",
    "}}",
    "{{-",
    "-}}",
    "(",
    ")",
    "|",
    ".",
    "$",
    "$x",
    ":=",
    "=",
    ",",
    "\"",
    "`",
    "'",
    "\\",
    "/*",
    "*/",
    "if ",
    "else ",
    "end",
    "range ",
    "with ",
    "break",
    "index ",
    "slice ",
    "printf ",
    "%*d",
    "%99999999d",
    "-1",
    "1e999",
    "9223372036854775807",
    "-9223372036854775808",
    "truncate ",
    "pad ",
    "ä",
    "\u{0}",
    " ",
    "\n",
];

/// Numbers that are the same in every run.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }
}

fn mutated(template: &str, others: &[String], sequence: &mut Sequence) -> String {
    let mut chars: Vec<char> = template.chars().collect();
    for _ in 0..=sequence.below(3) {
        let at = sequence.below(chars.len());
        let end = chars.len().min(at + sequence.below(6));
        let other: Vec<char> = others[sequence.below(others.len())].chars().collect();
        let from = sequence.below(other.len());
        let replacement: Vec<char> = match sequence.below(3) {
            0 => Vec::new(),
            1 => PIECES[sequence.below(PIECES.len())].chars().collect(),
            _ => other[from..].to_vec(),
        };
        chars.splice(at..end, replacement);
    }
    chars.into_iter().collect()
}

#[test]
fn mutated_templates_never_panic() {
    let network: Value = serde_json::from_str(include_str!("network.json")).unwrap();
    let cases = include_str!("go.jsonl").lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let templates: Vec<String> = cases.map(|case| case["template"].as_str().unwrap().to_owned()).collect();
    let mut sequence = Sequence(20);
    let mut rendered = 0;
    for round in 0..20_000 {
        let template = mutated(&templates[round % templates.len()], &templates, &mut sequence);
        let _ = Format::parse(&template).map(|format| format.render([&network], &[]));
        if let Ok(template) = Template::parse(&template) {
            rendered += usize::from(template.render(&network).is_ok());
            let _ = template.header(&[("Name", "NAME")]);
        }
    }
    assert!(rendered > 1000, "only {rendered} mutations were templates");
}

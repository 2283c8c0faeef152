//! Templates and what Go's own text/template, with docker's functions, makes of them.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use go_template::Template;
use serde_json::Value;

/// One template a line: for the network unless it has a value of its own; with the output or the error of Go 1.19 for
/// the same JSON in maps, integers as int. Where this crate means to differ, `here` is its own output or error.
const GO: &str = include_str!("go.jsonl");

const NETWORK: &str = include_str!("network.json");

fn outcome(case: &Value, network: &Value) -> Result<String, String> {
    let template = Template::parse(case["template"].as_str().unwrap()).map_err(|error| error.to_string())?;
    template.render(case.get("value").unwrap_or(network)).map_err(|error| error.to_string())
}

fn is_expected(case: &Value, ours: &Result<String, String>) -> bool {
    let text = ours.as_ref().unwrap_or_else(|error| error);
    match (case.get("here"), case.get("output")) {
        (Some(here), _) => text == here,
        (None, Some(go)) => ours.is_ok() && text == go,
        (None, None) => ours.is_err(),
    }
}

#[test]
fn templates_print_what_go_prints() {
    let network = serde_json::from_str(NETWORK).unwrap();
    let mut wrong = Vec::new();
    for line in GO.lines() {
        let case = serde_json::from_str(line).unwrap();
        let ours = outcome(&case, &network);
        if !is_expected(&case, &ours) {
            wrong.push(format!("{line}\n  here: {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

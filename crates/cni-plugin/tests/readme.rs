//! The plugin in README.md is `examples/marker.rs`, which is compiled, and whose tests run here.

#![allow(missing_docs, dead_code, reason = "tests")]

#[path = "../examples/marker.rs"]
mod marker;

#[test]
fn the_plugin_shown_is_the_one_that_is_tested() {
    let (readme, plugin) = (include_str!("../README.md"), include_str!("../examples/marker.rs"));
    let shown = readme.split("```").find_map(|block| block.strip_prefix("rust,no_run\n"));
    assert!(shown == Some(plugin), "copy examples/marker.rs into README.md");
}

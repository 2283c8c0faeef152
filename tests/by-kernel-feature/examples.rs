//! The examples in `conf/` that need a feature of the kernel: each is tested in that feature's module.

use tests::assert_examples_are_tested;

#[test]
fn every_example_is_tested() {
    assert_examples_are_tested(env!("CARGO_CRATE_NAME"));
}

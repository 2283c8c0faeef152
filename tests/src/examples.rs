//! The example configurations in `conf/`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

/// Every file of `conf/`, and the test that proves what the file promises. A file whose network cannot be had
/// on every kernel has its test in `by_kernel_feature`, in the module of the feature that it needs.
#[rustfmt::skip]
pub const EXAMPLES: &[(&str, &str)] = &[
    ("bandwidth", "by_plugin::bandwidth::rates::the_example_limits_both_directions"),
    ("bridge", "by_plugin::examples::bridge_connects_containers_with_each_other_the_host_and_the_world"),
    ("bridge-trunk", "by_kernel_feature::bridge_trunk::the_example_puts_containers_into_a_vlan_of_the_wire"),
    ("bridge-vlan", "by_kernel_feature::bridge_vlan::the_example_s_network_is_out_of_reach_for_others_on_its_bridge"),
    ("dhcp", "by_plugin::examples::dhcp_puts_containers_on_the_network_whose_server_gives_addresses"),
    ("dual-stack", "by_plugin::examples::dual_stack_does_so_over_both_families"),
    ("dummy", "by_kernel_feature::dummy::the_example_s_address_is_served_over_another_network"),
    ("host", "by_plugin::examples::host_shares_the_hosts_network"),
    ("host-device", "by_plugin::examples::host_device_moves_a_device_into_the_container_and_back"),
    ("internal", "by_plugin::examples::internal_has_no_way_out"),
    ("ipvlan-l2", "by_kernel_feature::ipvlan::reach::the_example_of_layer_2_is_on_the_wire"),
    ("ipvlan-l3", "by_kernel_feature::ipvlan::reach::the_example_of_layer_3_is_behind_the_host"),
    ("ipvlan-trunk", "by_kernel_feature::ipvlan_trunk::the_example_is_on_its_vlan"),
    ("isolated", "by_plugin::examples::isolated_networks_are_out_of_reach_for_each_other"),
    ("loopback", "by_plugin::loopback::add_brings_lo_up_and_reports_its_addresses"),
    ("macvlan", "by_plugin::examples::macvlan_puts_containers_on_the_network_of_the_host"),
    ("macvlan-trunk", "by_kernel_feature::macvlan_trunk::the_example_puts_containers_into_a_vlan_of_the_wire"),
    ("names", "by_plugin::dnsname::the_example_s_containers_find_each_other_and_are_published"),
    ("none", "by_plugin::examples::none_leads_nowhere"),
    ("overlay", "by_app::ferrocni_overlay::reach::the_example_joins_hosts_and_publishes_ports"),
    ("ptp", "by_plugin::ptp::reach::the_example_connects_containers_with_each_other_the_host_and_the_world"),
    ("published-ports", "by_plugin::examples::published_ports_are_served_where_they_are_published"),
    ("sbr", "by_plugin::sbr::who_is_asked_on_one_interface_answers_through_it"),
    ("static", "by_plugin::examples::static_gives_the_address_that_is_named_or_asked_for"),
    ("tap", "by_plugin::tap::the_example_gives_a_machine_s_monitor_a_tap_of_its_own"),
    ("tuning", "by_plugin::examples::tuning_sets_sysctls_and_the_mtu_of_containers_that_are_reached_as_ever"),
    ("vlan", "by_kernel_feature::vlan::the_example_puts_a_container_into_a_vlan_of_the_wire"),
    ("vrf", "by_kernel_feature::vrf::an_interface_is_routed_by_its_vrfs_table"),
    ("whole-chain", "by_plugin::examples::whole_chain_serves_a_port_on_a_second_network"),
];

/// The examples that are tested by the executable named `target`, for instance `by_plugin`.
pub fn examples_of(target: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    EXAMPLES.iter().filter_map(move |(example, test)| {
        let (its_target, test) = test.split_once("::").expect("a test is in an executable");
        (its_target == target).then_some((*example, test))
    })
}

/// Requires that [`EXAMPLES`] has every file of `conf/` (not of its folders), in order, and that those of its tests exist
/// that should be in the calling test executable, whose name is `target` (`env!("CARGO_CRATE_NAME")`).
///
/// # Panics
/// If not.
#[track_caller]
pub fn assert_examples_are_tested(target: &str) {
    let files = fs::read_dir(examples_dir()).expect("read conf/").map(|file| file.expect("a file").path());
    let examples = files.filter(|path| path.is_file());
    let mut found: Vec<_> = examples.map(|path| path.file_stem().expect("a name").to_owned()).collect();
    found.sort();
    assert_eq!(found, EXAMPLES.iter().map(|(example, _)| *example).collect::<Vec<_>>());
    let tests = tests_of_this_executable();
    for (example, test) in examples_of(target) {
        assert!(tests.lines().any(|line| line == format!("{test}: test")), "{example}: there is no test {test}");
    }
}

fn tests_of_this_executable() -> String {
    let exe = env::current_exe().expect("a test knows its own executable");
    let listed = Command::new(exe).args(["--list", "--format", "terse"]).output().expect("run the test executable");
    String::from_utf8(listed.stdout).expect("names of tests are text")
}

/// The example `conf/<name>.conflist`.
///
/// # Panics
/// If there is no such file, or no JSON in it.
#[must_use]
#[track_caller]
pub fn example(name: &str) -> Value {
    let file = examples_dir().join(name).with_extension("conflist");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("read {}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

fn examples_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../conf")
}

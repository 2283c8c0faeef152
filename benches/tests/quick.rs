//! The benchmark runs and its table is whole; how fast anything is depends on the machine and is not judged here.

use std::process::Command;

/// The plugins to measure; the reference measured against itself has every row too.
fn plugins() -> String {
    std::env::var("CNI_BIN_DIR").unwrap_or_else(|_| "/usr/lib/cni".into())
}

#[test]
fn quick_run_prints_every_row() {
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    let output = bench.args(["--quick", "--ours", &plugins()]).output().expect("the benchmark starts");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{table}{}", String::from_utf8_lossy(&output.stderr));
    let expected = [
        "machine: ",
        "reference: ",
        "(a) bridge(ipMasq)+host-local",
        "(a') bridge+host-local",
        "(b) (a)+portmap(2)+firewall+tuning",
        "macvlan+host-local",
        "ptp+host-local",
        "tuning, after a bridge",
        "bandwidth, after a bridge",
        "sbr, after a bridge",
        "static, alone",
        "  ADD ",
        "  CHECK ",
        "  DEL ",
        "  DEL, the kernel's own waiting",
        "  (b) ADD, 20 published ports",
        "  (b) DEL, 20 published ports",
        "  host-local ADD, 200 reservations",
        "  host-local DEL, 200 reservations",
        "  (b) ADD, 40 and 2 ports",
        "peak memory",
        "file size",
        "  loopback ",
        "  tuning ",
        "  bandwidth ",
        "  sbr ",
        "  static ",
        "8 of (b) in parallel",
        "  ADD, wall time",
        "  DEL, wall time",
        "  succeeded / distinct addresses       8 / 8 of 8",
    ];
    for row in expected {
        assert!(table.lines().any(|line| line.starts_with(row)), "no {row:?} in\n{table}");
    }
    // The lines above it name folders, which may be long.
    let table = table.split_once("\n\n").map_or("", |(_, table)| table);
    assert!(table.lines().all(|line| line.chars().count() <= 100), "wider than 100 columns:\n{table}");
}

/// Of ours, because the reference has nothing like it.
#[test]
fn quick_run_of_names_prints_every_row() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).args(["--names", "--quick"]).output().expect("it starts");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{table}{}", String::from_utf8_lossy(&output.stderr));
    for row in [
        "  a name's answer, µs",
        "  answers a second",
        "  memory, MB",
        "  a new name beside 10",
        "  a new name beside 20",
    ] {
        assert_eq!(table.lines().filter(|line| line.starts_with(row)).count(), 2, "{row:?} in\n{table}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 100), "wider than 100 columns:\n{table}");
}

/// Of ours alone.
#[test]
fn quick_run_of_the_command_prints_every_row() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench")).args(["--command", "--quick"]).output().expect("it starts");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{table}{}", String::from_utf8_lossy(&output.stderr));
    for row in [
        "  network ls, 3 networks",
        "  a program's own start",
        "  the same under run, --network none",
        "  the same on a bridge network",
        "  the same with a published port",
        "  network ls, 3 attachments",
        "  reload after a flush, 3 attachments",
        "  topology --format tree, 3 attachments",
        "  topology --format svg, 3 attachments",
        "  metrics, 3 attachments",
    ] {
        assert_eq!(table.lines().filter(|line| line.starts_with(row)).count(), 1, "{row:?} in\n{table}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 100), "wider than 100 columns:\n{table}");
}

/// Of ours alone: two hosts with agents, and an etcd.
#[test]
fn quick_run_of_networks_over_many_hosts_prints_every_row() {
    for (lane, rows) in [
        (
            "--overlay",
            &[
                ("  a TCP stream, Gbit/s", 3),
                ("  an answer over UDP, µs", 3),
                ("etcd is up", 1),
                ("etcd is down", 1),
                ("  ADD", 2),
                ("  CHECK", 2),
                ("  DEL", 2),
            ][..],
        ),
        (
            "--overlay-scale",
            &[
                ("with 200 others", 1),
                ("  the agent's start, s", 1),
                ("  a container starts elsewhere, µs", 1),
                ("  a host comes, µs", 1),
                ("  ADD and DEL here, µs", 1),
                ("20 simulated agents, 20 starts/s", 1),
                ("  heard of elsewhere after, ms", 1),
                ("  share of a processor, %", 1),
                ("  memory, MB", 2),
            ],
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_bench")).args([lane, "--quick"]).output().expect("it starts");
        let table = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{table}{}", String::from_utf8_lossy(&output.stderr));
        for (row, count) in rows {
            assert_eq!(table.lines().filter(|line| line.starts_with(row)).count(), *count, "{row:?} in\n{table}");
        }
        assert!(table.lines().all(|line| line.chars().count() <= 100), "wider than 100 columns:\n{table}");
    }
}

#[test]
fn quick_run_of_netavark_prints_every_row() {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_bench"));
    let target = program.ancestors().nth(3).expect("cargo names folders after the target and the profile");
    let debian = target.join("clients/debian-13/usr");
    let mut bench = Command::new(program);
    let output = bench.args(["--quick", "--netavark"]).arg(&debian).output().expect("the benchmark starts");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{table}{}", String::from_utf8_lossy(&output.stderr));
    for row in [
        "netavark: bridge, two ports",
        "  setup ",
        "  teardown ",
        "the same beside 4 containers",
        "8 at once",
        "  setup, wall time",
        "  set up / torn down                   8 / 8 of 8",
    ] {
        assert!(table.lines().any(|line| line.starts_with(row)), "no {row:?} in\n{table}");
    }
}

#[test]
fn a_folder_without_plugins_is_named_in_one_line() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_bench")).args(["--ours", "/"]).output().expect("the benchmark starts");
    assert!(!output.status.success());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.starts_with("bench: no plugin at /bridge: build ferrocni"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1);
}

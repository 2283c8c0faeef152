//! Every line of docs/docker.md does what its neighbour does with Docker.

use tests::{Inside as _, wire};

use super::{shell, succeeds};

/// The right-hand column of its tables, in order.
fn lines() -> Vec<String> {
    let page = include_str!("../../../docs/docker.md");
    let rows = page.lines().filter(|line| line.starts_with("| `docker "));
    rows.map(|row| row.split(" | ").nth(1).unwrap().trim_end_matches(" |").trim_matches('`').to_owned()).collect()
}

#[test]
fn the_page_s_scene_passes_on_one_host_and_leaves_nothing() {
    let (host, _outside) = wire();
    let lines = lines();
    assert!(lines.len() > 30 && lines.iter().all(|line| line.starts_with("ferrocni ")), "{lines:?}");
    let links = host.shell("ip -br link | sort");
    for line in &lines {
        let said = shell(&host, &line.replacen("ferrocni", "$f", 1));
        eprintln!("{line}\n{said}");
    }
    assert_eq!(host.ferrocni(["network", "ls", "--format", "{{.Name}}"]).ok(), "bridge\nhost\nnone\n");
    // It was created for the program that named no network, and stays, as Docker's does.
    succeeds(&host, &["network", "rm", "bridge"]);
    assert_eq!(host.ferrocni(["ps", "-q"]).ok(), "");
    assert_eq!(host.shell("ip -br link | sort"), links);
    assert_eq!(host.shell("find /run/netns /run/ferrocni /var/lib/cni -type f -size +0"), "");
    succeeds(&host, &["uninstall"]);
}

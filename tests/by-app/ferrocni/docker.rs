//! Every line of docs/docker.md does what its neighbour does with Docker. With containers of others on the same networks it does so too:
//! `clients::docker`.

use tests::{Inside as _, docker_page, wire};

use super::succeeds;

#[test]
fn the_page_s_scene_passes_on_one_host_and_leaves_nothing() {
    let (host, _outside) = wire();
    let links = host.shell("ip -br link | sort");
    for line in docker_page::lines() {
        docker_page::type_line(&host, &line);
    }
    assert_eq!(host.ferrocni(["network", "ls", "--format", "{{.Name}}"]).ok(), "bridge\nhost\nnone\n");
    // It was created for the program that named no network, and stays, as Docker's does.
    succeeds(&host, &["network", "rm", "bridge"]);
    assert_eq!(host.ferrocni(["ps", "-q"]).ok(), "");
    assert_eq!(host.shell("ip -br link | sort"), links);
    assert_eq!(host.shell("find /run/netns /run/ferrocni /var/lib/cni -type f -size +0"), "");
    succeeds(&host, &["uninstall"]);
}

//! Completions and the manual are made from the commands' own definitions.

use tests::{Host, Inside as _};

#[test]
fn every_shell_gets_completions_that_know_the_commands() {
    let host = Host::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = host.ferrocni(["completion", shell]).ok();
        assert!(script.contains("network") && script.contains("no-trunc"), "{shell}");
    }
    let script = host.ferrocni(["completion", "bash"]).ok();
    host.write("/run/completion", script);
    let words = host.run([
        "bash",
        "-c",
        ". /run/completion; COMP_WORDS=(ferrocni network cre); COMP_CWORD=2; \
        _ferrocni ferrocni cre network; echo ${COMPREPLY[@]}",
    ]);
    assert_eq!(words, "create\n");
}

#[test]
fn each_command_has_a_page_of_the_manual() {
    let host = Host::new();
    let written = host.ferrocni(["man", "/run/man1"]);
    assert!(written.status.success(), "{written}");
    let pages = host.run(["ls", "/run/man1"]);
    for page in ["ferrocni.1", "ferrocni-network.1", "ferrocni-network-create.1"] {
        assert!(pages.lines().any(|known| known == page), "{pages}");
    }
    assert!(host.read("/run/man1/ferrocni-network-create.1").unwrap().contains("Address that no container gets"));
    let failed = host.ferrocni(["man", "/proc/none"]);
    assert!(failed.status.code() == Some(1) && failed.stderr.contains("/proc/none"), "{failed}");
}

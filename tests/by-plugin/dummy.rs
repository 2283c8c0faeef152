//! dummy: what can be asked of it on any kernel. What its interfaces do is in `by_kernel_feature::dummy`.

use serde_json::{Value, json};
use tests::{Host, Inside as _};

fn config() -> Value {
    let ipam = json!({"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]});
    json!({"type": "dummy", "ipam": ipam})
}

/// Some kernels have no such links.
#[test]
fn status_knows_whether_an_add_succeeds() {
    let host = Host::new();
    let c1 = host.container("c1");
    let config = config();
    let status = host.assert_leaves_nothing(|| host.cni("dummy").command("STATUS").config(&config).run());
    let call = |verb: &str| host.cni("dummy").command(verb).container(&c1).config(&config).run();
    let kernel_has_it = host.try_run(["ip", "link", "add", "d0", "type", "dummy"]).status.success();
    assert_eq!(status.is_ok(), kernel_has_it, "{}", status.finished);
    if kernel_has_it {
        host.shell("ip link del d0");
        call("ADD").ok();
    } else {
        let errors = [status.error(), host.assert_leaves_nothing(|| call("ADD").error())];
        assert_eq!(errors.each_ref().map(|error| error.code), [50, 999]);
        for error in errors {
            assert!(error.msg.contains("CONFIG_DUMMY"), "{error:?}");
        }
    }
    call("DEL").ok();
}

#[test]
fn what_cannot_work_is_refused_and_changes_nothing() {
    let host = Host::new();
    let c1 = host.container("c1");
    for (ipam, words) in [(json!(null), "\"ipam\""), (json!({}), "host-local")] {
        let mut config = config();
        config["ipam"] = ipam;
        for verb in ["ADD", "STATUS"] {
            let run = || host.cni("dummy").command(verb).container(&c1).config(&config).run();
            let error = host.assert_leaves_nothing(run).error();
            let text = format!("{} {}", error.msg, error.details);
            assert!(error.code == 7 && text.contains(words), "{verb} {config}: {text}");
        }
        host.cni("dummy").command("DEL").container(&c1).config(&config).run().ok();
    }
}

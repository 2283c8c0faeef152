use std::process::Command;

use netlink::{IngressFilter, LinkKind, NewLink, TokenBucket};

use crate::{in_new_netns, pair, socket};

const BUCKET: TokenBucket = TokenBucket { rate: 1_250_000, burst: 100_000, limit: 131_250 };

/// What `tc` says, which knows no JSON for all of it.
fn tc(arguments: &str) -> String {
    let output = Command::new("tc").args(arguments.split(' ')).output().expect("iproute2 is installed");
    assert!(output.status.success(), "tc {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_link_is_limited_once() {
    in_new_netns(|| {
        let mut socket = socket();
        let (link, _) = pair(&mut socket);
        assert_eq!(socket.token_bucket(link).expect("read"), None);
        socket.batch().limit_rate(link, &BUCKET).send().expect("limited");
        let again = socket.batch().limit_rate(link, &TokenBucket { rate: 1000, ..BUCKET }).send();
        assert!(again.expect_err("limited already").is_exists());
        assert_eq!(socket.token_bucket(link).expect("read"), Some(TokenBucket { burst: 0, ..BUCKET }));
        let shown = tc("qdisc show dev a");
        // The burst is shown as what the kernel's clock ticks make of it.
        assert!(shown.contains("rate 10Mbit") && shown.contains("burst 100"), "{shown}");
        socket.batch().remove_limit(link).send().expect("removed");
        assert_eq!(socket.token_bucket(link).expect("read"), None);
        assert!(socket.batch().remove_limit(link).send().expect_err("none is left").is_not_found());
    });
}

#[test]
fn a_rate_may_be_larger_than_32_bits_say() {
    in_new_netns(|| {
        let mut socket = socket();
        let (link, _) = pair(&mut socket);
        let fast = TokenBucket { rate: 12_500_000_000, burst: 1_000_000, limit: u32::MAX };
        socket.batch().limit_rate(link, &fast).send().expect("limited");
        assert_eq!(socket.token_bucket(link).expect("read").map(|bucket| bucket.rate), Some(fast.rate));
        assert!(tc("qdisc show dev a").contains("rate 100Gbit"));
    });
}

#[test]
fn what_a_link_receives_is_redirected() {
    in_new_netns(|| {
        let mut socket = socket();
        let (link, _) = pair(&mut socket);
        let ifb = socket.create_link(&NewLink { up: true, ..NewLink::new("ifb9", LinkKind::Ifb) }).expect("an ifb");
        assert!(socket.ingress_filters(link).expect("listed").is_empty());
        assert!(socket.batch().redirect_ingress(link, ifb.index).send().is_err(), "there is no ingress discipline");
        socket.batch().add_ingress(link).redirect_ingress(link, ifb.index).send().expect("redirected");
        assert_eq!(socket.ingress_filters(link).expect("listed"), [IngressFilter::Redirection { to: ifb.index }]);
        let shown = tc("filter show dev a ingress");
        assert!(shown.contains("Egress Redirect to device ifb9") && shown.contains("protocol all"), "{shown}");
        assert!(socket.batch().add_ingress(link).send().expect_err("twice").is_exists());
        socket.batch().remove_redirection(link).send().expect("removed");
        assert!(socket.ingress_filters(link).expect("listed").is_empty());
        assert!(socket.batch().remove_redirection(link).send().expect_err("none is left").is_not_found());
        socket.batch().redirect_ingress(link, ifb.index).send().expect("redirected again");
        socket.batch().remove_ingress(link).send().expect("removed");
        assert!(socket.ingress_filters(link).expect("listed").is_empty());
        assert!(socket.batch().remove_ingress(link).send().expect_err("none is left").is_not_found());
    });
}

#[test]
fn asking_for_token_buckets_changes_nothing() {
    in_new_netns(|| {
        assert!(socket().knows_token_buckets().expect("asked"));
        assert!(!tc("qdisc show dev lo").contains("tbf"));
        tc("qdisc add dev lo root handle 7: pfifo");
        assert!(socket().knows_token_buckets().expect("asked"));
        assert!(tc("qdisc show dev lo").contains("pfifo 7:"));
    });
}

#[test]
fn a_guard_of_loopback_addresses_stands_beside_others_filters() {
    const ANSWER: u32 = 0x7f00_0008;
    in_new_netns(|| {
        let mut socket = socket();
        let (link, _) = pair(&mut socket);
        for others in ["", "clsact", "", "ingress"] {
            if !others.is_empty() {
                tc(&format!("qdisc add dev a {others}"));
            }
            assert!(!socket.guards_loopback(link, ANSWER).expect("an answer"));
            assert_eq!(socket.has_ingress(link).expect("an answer"), !others.is_empty());
            for _ in 0..2 {
                socket.guard_loopback(link, ANSWER).expect("guarded");
                assert!(socket.guards_loopback(link, ANSWER).expect("an answer"));
            }
            let shown = tc("filter show dev a ingress");
            assert_eq!(shown.matches("direct-action").count(), 1, "{shown}");
            assert!(!socket.guards_loopback(link, 1).expect("an answer"), "with another mark it is another's");
            if !others.is_empty() {
                tc("filter add dev a ingress pref 7 protocol all u32 match u32 0 0");
                let filters = socket.ingress_filters(link).expect("listed");
                assert_eq!(filters, [IngressFilter::LoopbackGuard { answer: ANSWER }, IngressFilter::Other]);
            }
            assert!(socket.unguard_loopback(link, ANSWER).expect("removed"));
            assert!(!socket.unguard_loopback(link, ANSWER).expect("removed already"));
            let kinds = tc("qdisc show dev a");
            assert_eq!(kinds.contains("ffff:"), !others.is_empty(), "{kinds}");
            if !others.is_empty() {
                assert!(tc("filter show dev a ingress").contains("pref 7"));
                tc(&format!("qdisc del dev a {others}"));
            }
        }
    });
}

#[test]
fn a_guard_and_a_redirection_stand_beside_each_other() {
    in_new_netns(|| {
        let mut socket = socket();
        let (link, _) = pair(&mut socket);
        let ifb = socket.create_link(&NewLink { up: true, ..NewLink::new("ifb9", LinkKind::Ifb) }).expect("an ifb");
        let both = [IngressFilter::LoopbackGuard { answer: 5 }, IngressFilter::Redirection { to: ifb.index }];
        socket.guard_loopback(link, 5).expect("guarded");
        socket.batch().redirect_ingress(link, ifb.index).send().expect("redirected");
        assert_eq!(socket.ingress_filters(link).expect("listed"), both, "the guard is asked first");
        assert!(socket.unguard_loopback(link, 5).expect("removed"));
        assert_eq!(socket.ingress_filters(link).expect("listed"), both[1..]);
        socket.guard_loopback(link, 5).expect("guarded");
        assert_eq!(socket.ingress_filters(link).expect("listed"), both, "whichever came first");
        socket.batch().remove_redirection(link).send().expect("removed");
        assert_eq!(socket.ingress_filters(link).expect("listed"), both[..1]);
    });
}

#[test]
fn another_s_filter_in_the_guard_s_place_stays() {
    in_new_netns(|| {
        let mut socket = socket();
        let (link, _) = pair(&mut socket);
        tc("qdisc add dev a clsact");
        tc("filter add dev a ingress pref 1 protocol all u32 match u32 0 0");
        let error = socket.guard_loopback(link, 5).expect_err("no place").to_string();
        assert_eq!(socket.ingress_filters(link).expect("listed"), [IngressFilter::Other]);
        assert!(error.contains("loopback addresses") && error.contains("link a"), "{error}");
        assert!(tc("filter show dev a ingress").contains("u32"));
    });
}
